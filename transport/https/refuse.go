package https

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A refusal is an answer of the listener itself.
type refusal struct {
	status int
	denial *mcpsec.Denial
	method string         // of the message, if it was read
	id     jsonrpc.ID     // likewise
	wire   *jsonrpc.Error // instead of what the guard makes of the denial
	auth   *AuthError     // for the challenge
	extra  map[string]string
}

func (f *refusal) of(m *mcpsec.Message) *refusal {
	f.method, f.id = m.Method, m.ID
	return f
}

// plainly answers with the reason alone: the code of the kind would mean something else.
func (f *refusal) plainly() *refusal {
	f.wire = &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: f.denial.Reason}
	return f
}

func refuse(status int, d *mcpsec.Denial) *refusal { return &refusal{status: status, denial: d} }

// refuse records a refusal and answers it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, f *refusal) {
	err := s.config.Guard.Refuse(r, f.method, f.denial)
	wire := f.wire
	own, _ := errors.AsType[*jsonrpc.Error](err)
	if own != nil && (wire == nil || own.Code == mcpsec.CodeThrottled) {
		wire = own
	}
	if wire == nil {
		wire = &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "refused"}
	}
	status := f.status
	if wire.Code == mcpsec.CodeThrottled && status != http.StatusUnauthorized {
		status = http.StatusTooManyRequests
	}
	h := w.Header()
	if f.auth != nil {
		if value := f.auth.challenge(s.metadataURL(r)); value != "" {
			h.Set("WWW-Authenticate", value)
		}
		if f.auth.Nonce != "" && isPlain(f.auth.Nonce) {
			h.Set("DPoP-Nonce", f.auth.Nonce)
		}
	}
	for name, value := range f.extra {
		h.Set(name, value)
	}
	if wait := f.denial.RetryAfter; wait > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
	id := rand.Text()
	h.Set("X-Request-ID", id)
	s.log.Debug("refused", "request", id, "code", f.denial.Code, "status", status, "address", r.RemoteAddr)
	h["Cache-Control"], h["X-Content-Type-Options"] = headerNoStore, headerNosniff
	raw, err := json.Marshal(answer{"2.0", f.id.Raw(), wire})
	if err != nil {
		raw = []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"refused"}}`)
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the client may have left
}

type answer struct {
	Version string         `json:"jsonrpc"`
	ID      any            `json:"id"`
	Error   *jsonrpc.Error `json:"error"`
}

// challenge returns the field of RFC 6750 and RFC 9728 that says what is wanted; empty if
// no credentials would help.
func (e *AuthError) challenge(metadata string) string {
	if e.Scheme == "" || !isToken(e.Scheme) || e.Status != http.StatusUnauthorized && e.Status != http.StatusForbidden && e.Status != http.StatusBadRequest {
		return ""
	}
	var b strings.Builder
	b.WriteString(e.Scheme)
	sep := " "
	for _, p := range [...][2]string{
		{"error", e.Code}, {"error_description", e.Description}, {"scope", e.Scope}, {"resource_metadata", metadata},
	} {
		if p[1] == "" || !isPlain(p[1]) {
			continue
		}
		b.WriteString(sep + p[0] + `="` + quoted.Replace(p[1]) + `"`)
		sep = ", "
	}
	return b.String()
}

var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// isPlain reports whether a text is printable ASCII: what a header can hold.
func isPlain(text string) bool {
	for _, c := range []byte(text) {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

// Revisions of the protocol.
const (
	current     = "2026-07-28"
	withBatches = "2025-03-26"
)

var earlier = []string{"2025-11-25", "2025-06-18", withBatches, "2024-11-05"}

// badVersion refuses a revision, and says which there are.
func (s *Server) badVersion(requested string) *refusal {
	speaks := []string{current}
	if s.config.Legacy {
		speaks = append(speaks, earlier...)
	}
	if len(requested) > 32 || !isPlain(requested) {
		requested = ""
	}
	data, err := json.Marshal(mcp.UnsupportedProtocolVersionData{Supported: speaks, Requested: requested})
	if err != nil {
		data = nil
	}
	f := refuse(http.StatusBadRequest, codeVersion.Deny("unsupported protocol version"))
	f.wire = &jsonrpc.Error{Code: mcp.CodeUnsupportedProtocolVersion, Message: "unsupported protocol version", Data: data}
	return f
}

// failure is the answer to a call that was taken and came to nothing.
func failure(id any, reason string) ([]byte, error) {
	return json.Marshal(answer{"2.0", id, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: reason}})
}

// tooLarge returns what is sent in place of an event that is larger than Limits.Result: an
// error under the same id. Nil if nobody waits for it.
func (s *Server) tooLarge(b []byte) []byte {
	s.log.Warn("an answer is larger than Limits.Result", "bytes", len(b), "limit", s.limits.Result)
	_, data, ok := bytes.Cut(b, []byte("data: "))
	if !ok {
		return nil
	}
	head := json.NewDecoder(bytes.NewReader(data))
	if t, err := head.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for head.More() {
		name, err := head.Token()
		if err != nil {
			return nil
		}
		var value json.RawMessage
		switch name {
		case "id":
			if err := head.Decode(&value); err != nil {
				return nil
			}
			raw, err := failure(value, "the answer is larger than the server sends")
			if err != nil {
				return nil
			}
			return event("message", raw)
		case "jsonrpc":
			if err := head.Decode(&value); err != nil {
				return nil
			}
		default:
			return nil // a notification, or a request of the server's
		}
	}
	return nil
}
