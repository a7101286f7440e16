package mcpsec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// Handler returns h, an mcp.StreamableHTTPHandler or a chain that ends in one,
// with the guard's frame around it. Each POST body is bounded, holds one message
// and is parsed strictly before the SDK sees it; batches are refused; the client's
// certificate or address becomes the principal where no token is; what the SDK
// rejects by itself is recorded and counted. When the client of a stateless
// revision (2026-07-28 and later) goes away, its call is cancelled, as that
// revision demands.
//
// It authenticates nobody and checks neither Host nor Origin: put it inside
// whatever does.
func (g *Guard) Handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.Header.Del(frameHeader)
		if r.Method != http.MethodPost {
			h.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(g.settings.MaxBytes)))
		if err != nil {
			code := http.StatusBadRequest
			if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
				code = http.StatusRequestEntityTooLarge
			}
			http.Error(w, http.StatusText(code), code)
			return
		}
		g.serveMessage(w, r, h, body)
	})
}

func (g *Guard) serveMessage(w http.ResponseWriter, r *http.Request, h http.Handler, body []byte) {
	f := &frame{principal: peerOf(r).Principal()}
	req, id, fault := readMessage(body)
	if fault != nil {
		writeRPCError(w, id, g.unseen(r.Context(), f, fault))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	if req == nil {
		h.ServeHTTP(w, r) // an answer; the sending middleware waits for it
		return
	}
	f.method = req.Method
	if req.Method == notifyCancelled {
		if err := g.unseen(r.Context(), f, nil); err != nil {
			writeRPCError(w, id, err)
			return
		}
	}
	if r.Header.Get("Mcp-Protocol-Version") >= statelessVersion {
		f.gone = r.Context()
	}
	g.frames.begin(f)
	defer g.frames.end(f)
	r.Header.Set(frameHeader, f.token)
	status := &statusRecorder{ResponseWriter: w}
	h.ServeHTTP(status, r)
	if req.IsCall() && status.code >= http.StatusBadRequest && !f.seen.Load() {
		_ = g.unseen(context.WithoutCancel(r.Context()), f, &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: http.StatusText(status.code)})
	}
}

// readMessage reads one JSON-RPC message. req is nil for an answer.
func readMessage(body []byte) (req *jsonrpc.Request, id jsonrpc.ID, fault error) {
	if err := CheckJSON(body); err != nil {
		return nil, id, codeMalformed.Deny(err.Error()).Because(err)
	}
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		return nil, id, codeMalformed.Deny("batches are not accepted")
	}
	msg, err := jsonrpc.DecodeMessage(body)
	if err != nil {
		return nil, id, codeMalformed.Deny("not a JSON-RPC message").Because(err)
	}
	req, _ = msg.(*jsonrpc.Request)
	if req != nil {
		id = req.ID
	}
	return req, id, nil
}

func peerOf(r *http.Request) Peer {
	p := Peer{Addr: r.RemoteAddr}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		p.Certificates = r.TLS.VerifiedChains[0]
	}
	return p
}

func writeRPCError(w http.ResponseWriter, id jsonrpc.ID, err error) {
	var wire *jsonrpc.Error
	if !errors.As(err, &wire) {
		wire = &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "refused"}
	}
	raw, err := json.Marshal(struct {
		Version string         `json:"jsonrpc"`
		ID      any            `json:"id"`
		Error   *jsonrpc.Error `json:"error"`
	}{"2.0", id.Raw(), wire})
	if err != nil {
		http.Error(w, "refused", http.StatusBadRequest)
		return
	}
	code := http.StatusBadRequest
	if wire.Code == CodeThrottled {
		code = http.StatusTooManyRequests
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(raw) // the client may have left
}

// statusRecorder notes the status of an answer and stays out of the way of
// streaming: net/http finds Flush and deadlines through Unwrap.
type statusRecorder struct {
	http.ResponseWriter
	code int
}

func (s *statusRecorder) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
func (s *statusRecorder) Flush()                      { _ = http.NewResponseController(s.ResponseWriter).Flush() }
