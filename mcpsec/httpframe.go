package mcpsec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// Handler returns h, an mcp.StreamableHTTPHandler or a chain that ends in one,
// with the guard's frame around it. Each POST body is bounded and holds one
// message, which the SDK gets as [ReadMessage] understood it; batches are refused; the client's
// certificate or address becomes the principal where no token is; what the SDK
// rejects by itself is recorded and counted. When the client of a stateless
// revision (2026-07-28 and later) goes away, its call is cancelled, as that
// revision demands.
//
// A notification that is answered with 202 (Accepted) has reached the middleware, where the
// SDK would drop one of a stateless revision; one that the SDK cannot decode is refused. No
// principal holds more than an eighth of the messages that may be under way.
//
// Over HTTP+SSE the SDK keeps from the middleware which message it came with: bodies
// are bounded and strict there too, but every caller is anonymous.
//
// Only the SDK binds a stateful session to its user, by the user id of a verified
// token: without tokens whoever knows a session id may answer, listen and end it.
//
// It authenticates nobody and checks neither Host nor Origin: put it inside
// whatever does.
func (g *Guard) Handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.made() {
			http.Error(w, errNoGuard.Error(), http.StatusInternalServerError)
			return
		}
		r = r.WithContext(r.Context())
		r.Header = ownHeader(r.Header)
		if r.Method != http.MethodPost {
			h.ServeHTTP(w, r)
			return
		}
		m, code, fault := g.readBody(w, r)
		if fault != nil {
			writeRPCError(w, code, jsonrpc.ID{}, g.unseen(context.WithoutCancel(r.Context()), frameOf(r), fault))
			return
		}
		g.serveMessage(w, r, h, m)
	})
}

// ownHeader returns a header that the frame may add to, without what pretends to be a frame.
// The values stay those of the request.
func ownHeader(h http.Header) http.Header {
	own := make(http.Header, len(h)+1)
	maps.Copy(own, h)
	delete(own, frameHeader)
	return own
}

// readBody reads the message of a POST, or takes the one that a transport has read. The
// code is that of HTTP for the fault.
func (g *Guard) readBody(w http.ResponseWriter, r *http.Request) (m *Message, code int, fault *Denial) {
	if b, ok := r.Body.(*messageBody); ok {
		return b.message, 0, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(g.settings.MaxBytes)))
	if err != nil {
		code = http.StatusBadRequest
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			code = http.StatusRequestEntityTooLarge
		}
		return nil, code, codeMalformed.Deny("the message cannot be read, or is larger than " + strconv.Itoa(g.settings.MaxBytes) + " bytes").Because(err)
	}
	m, err = ReadMessage(body)
	if err != nil {
		return nil, http.StatusBadRequest, codeMalformed.Deny(err.Error()).Because(err)
	}
	return m, 0, nil
}

func (g *Guard) serveMessage(w http.ResponseWriter, r *http.Request, h http.Handler, m *Message) {
	f := frameOf(r)
	r.Body = m.Body()
	r.ContentLength = int64(len(m.Bytes()))
	if m.IsAnswer() {
		h.ServeHTTP(w, r) // the sending middleware waits for it
		return
	}
	f.method = m.Method
	if m.Method == notifyCancelled {
		if err := g.unseen(r.Context(), f, nil); err != nil {
			writeRPCError(w, http.StatusBadRequest, m.ID, err)
			return
		}
		f.seen.Store(true)
	}
	if f.gone == nil && r.Header.Get("Mcp-Protocol-Version") >= statelessVersion {
		f.gone = r.Context()
	}
	if g.frames.full(f) {
		writeRPCError(w, http.StatusTooManyRequests, m.ID, g.unseen(r.Context(), f, codeOverloaded.Deny("too many messages are under way").After(frameRetry)))
		return
	}
	if !m.IsCall() && !f.seen.Load() {
		if fault := checkNotification(m); fault != nil {
			writeRPCError(w, http.StatusBadRequest, m.ID, g.unseen(r.Context(), f, fault))
			return
		}
		if fleeting(r) {
			f.taken = make(chan struct{})
		}
	}
	g.frames.begin(f)
	r.Header.Set(frameHeader, f.token)
	answer := &withheld{ResponseWriter: w, frame: f, call: m.IsCall(), frames: &g.frames, ctx: r.Context()}
	h.ServeHTTP(answer, r)
	spoken, fault := answer.fault(g)
	switch {
	case answer.pass():
		g.frames.end(f)
	case !spoken && answer.code < http.StatusBadRequest:
		// The SDK took the message and the middleware has yet to see it: it answers
		// no notification, and the caller may have left.
		f.expires.Store(time.AfterFunc(frameTTL, func() { g.frames.end(f) }))
		if f.seen.Load() || overSSE(r) {
			g.frames.end(f)
		}
	default:
		g.frames.end(f)
		answer.replace(m.ID, g.unseen(context.WithoutCancel(r.Context()), f, fault), spoken)
	}
}

// frameRetry is what a client is told to wait when too many messages are under way.
const frameRetry = time.Second

// frameTTL bounds how long a message may wait between the frame and the middleware.
const frameTTL = time.Minute

// strangerOf finds out who asks from the request alone, best rung first.
func strangerOf(r *http.Request) Principal {
	if p, ok := tokenPrincipal(auth.TokenInfoFromContext(r.Context())); ok {
		return p
	}
	return peerOf(r).Principal()
}

func frameOf(r *http.Request) *frame {
	ctx := r.Context()
	f := &frame{values: ctx, gone: endOf(ctx), source: Source{Transport: "http", Address: r.RemoteAddr}}
	if f.principal, f.settled = PrincipalFrom(ctx); !f.settled {
		f.principal = strangerOf(r)
	}
	return f
}

func peerOf(r *http.Request) Peer {
	p := Peer{Addr: r.RemoteAddr}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		p.Certificates = r.TLS.VerifiedChains[0]
	}
	return p
}

func writeRPCError(w http.ResponseWriter, code int, id jsonrpc.ID, err error) {
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
	if wire.Code == CodeThrottled {
		code = http.StatusTooManyRequests
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(raw) // the client may have left
}

// withheld keeps an answer back until the middleware has seen the message. What
// the SDK answers by itself is never sent: it may repeat the request. That a
// notification was taken, or that the answer comes on another stream, is no answer.
type withheld struct {
	http.ResponseWriter
	frame  *frame
	frames *frames
	ctx    context.Context // of the request
	call   bool
	code   int
	body   bytes.Buffer
	open   bool
}

// pass reports whether the answer may go out, and sends what was kept back.
func (w *withheld) pass() bool {
	if w.open || !w.frame.seen.Load() {
		return w.open
	}
	w.open = true
	if w.code != 0 {
		w.ResponseWriter.WriteHeader(w.code)
		_, _ = w.ResponseWriter.Write(w.body.Bytes()) // the client may have left
	}
	return true
}

func (w *withheld) WriteHeader(code int) {
	if code == http.StatusAccepted && !w.accepted() {
		code = http.StatusServiceUnavailable
	}
	switch {
	case w.pass() || code == http.StatusAccepted || !w.call && code < http.StatusBadRequest:
		w.ResponseWriter.WriteHeader(code)
	case w.code == 0:
		w.code = code
	}
}

func (w *withheld) Write(b []byte) (int, error) {
	if w.pass() {
		return w.ResponseWriter.Write(b)
	}
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.body.Write(b)
}

func (w *withheld) Flush() {
	if w.pass() {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
}

func (w *withheld) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// fault is what the SDK answered, and whether it did so in JSON-RPC. An answer that
// is no error was given by somebody who stands outside the guard.
func (w *withheld) fault(g *Guard) (spoken bool, fault error) {
	if w.pass() {
		return false, nil
	}
	for line := range bytes.Lines(w.body.Bytes()) {
		msg, err := jsonrpc.DecodeMessage(bytes.TrimPrefix(line, []byte("data: ")))
		res, ok := msg.(*jsonrpc.Response)
		switch {
		case err != nil || !ok:
			continue
		case res.Error != nil:
			return true, res.Error
		}
		w.code = http.StatusForbidden
		return true, g.unguarded(w.frame)
	}
	return false, &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: http.StatusText(w.code)}
}

// replace answers in the SDK's place, in JSON-RPC or plain text as the SDK did:
// clients tell the two apart.
func (w *withheld) replace(id jsonrpc.ID, err error, spoken bool) {
	var wire *jsonrpc.Error
	if !spoken && errors.As(err, &wire) && wire.Code == jsonrpc.CodeInvalidRequest {
		http.Error(w.ResponseWriter, http.StatusText(w.code), w.code)
		return
	}
	writeRPCError(w.ResponseWriter, w.code, id, err)
}
