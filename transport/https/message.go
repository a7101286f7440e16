package https

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// light is how much of each body is not weighed.
const light = 64 << 10

// A scale weighs a body while it comes.
type scale struct {
	body    io.Reader
	seen    int
	streams *stream.Registry
	key     string       // of the principal
	load    *stream.Load // nil if the body is light
}

// Read fails with the error of [stream.Load.Add] when the body is more than may be held.
func (b *scale) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	counted := max(b.seen, light)
	b.seen += n
	if b.seen <= counted {
		return n, err
	}
	if b.load == nil {
		b.load = b.streams.Load(b.key)
	}
	if full := b.load.Add(b.seen - counted); full != nil {
		return 0, full
	}
	return n, err
}

// readBody reads the body of a request, of which a principal may send only so many at the
// same time, and only so many bytes until they are answered: then the load is released.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, c *caller) (raw []byte, load *stream.Load, f *refusal) {
	release, err := s.streams.Reserve(stream.Reading, c.holder.Key)
	if err != nil {
		return nil, nil, s.full(err, "Limits.CallsPer", "Limits.Calls")
	}
	defer release()
	body := &scale{body: r.Body, streams: s.streams, key: c.holder.Key}
	if s.limits.Body >= 0 {
		body.body = http.MaxBytesReader(w, r.Body, s.limits.Body)
	}
	var buf bytes.Buffer
	if n := r.ContentLength; n > 0 {
		buf.Grow(int(min(n, light)) + bytes.MinRead) // the rest when it has come
	}
	if _, err := buf.ReadFrom(body); err != nil {
		body.load.Release()
		large := new(http.MaxBytesError)
		switch {
		case errors.As(err, &large):
			return nil, nil, tooLong(large.Limit)
		case errors.Is(err, stream.ErrFull), errors.Is(err, stream.ErrBusy), errors.Is(err, stream.ErrClosed):
			return nil, nil, s.full(err, "Limits.BodiesPer", "Limits.Bodies")
		}
		return nil, nil, refuse(http.StatusBadRequest, codeMalformed.Deny("the body cannot be read").Because(err))
	}
	return buf.Bytes(), body.load, nil
}

// full refuses what is too much.
func (s *Server) full(err error, per, total string) *refusal {
	switch {
	case errors.Is(err, stream.ErrFull):
		d := codeTooMany.Deny("too many at the same time").After(grace)
		d.Detail = per
		return refuse(http.StatusTooManyRequests, d)
	case errors.Is(err, stream.ErrBusy):
		d := codeBusy.Deny("the server is busy").After(grace)
		d.Detail = total
		return refuse(http.StatusServiceUnavailable, d)
	default:
		return refuse(http.StatusServiceUnavailable, codeUnavailable.Deny("the server is shutting down").After(grace))
	}
}

// readMessage reads exactly one message.
func (s *Server) readMessage(body []byte) (*mcpsec.Message, *refusal) {
	m, err := mcpsec.ReadMessage(body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, codeMalformed.Deny(err.Error()).Because(err))
	}
	return m, nil
}

// permit judges whether the identity's scopes suffice for a message.
func (s *Server) permit(c *caller, m *mcpsec.Message) *refusal {
	if s.config.Tokens == nil || m.IsAnswer() {
		return nil
	}
	if err := s.config.Tokens.Permit(c.identity, m.Method, nameIn(m)); err != nil {
		return s.badToken(err).of(m)
	}
	return nil
}

// named are the methods whose parameters name what they are for.
var named = map[string]string{
	"tools/call": "name", "prompts/get": "name",
	"resources/read": "uri", "resources/subscribe": "uri", "resources/unsubscribe": "uri",
}

// nameIn returns what a message is for: the name of a tool or prompt, or the URI of a
// resource. Empty for other methods, and if it is no string.
func nameIn(m *mcpsec.Message) string {
	member, ok := named[m.Method]
	if !ok {
		return ""
	}
	raw := memberOf(m.Params(), member)
	if len(raw) >= 2 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var name string
	if json.Unmarshal(raw, &name) != nil {
		return ""
	}
	return name
}

// memberOf returns the value of a member of a canonical object. Names are compared as the
// SDK does, exactly and unescaped, which encoding/json does not.
func memberOf(object []byte, name string) json.RawMessage {
	for i := 1; i < len(object)-1; {
		from := i
		i = afterValue(object, i)
		key := object[from:i]
		i++ // the colon
		from = i
		i = afterValue(object, i)
		if sameString(key, name) {
			return object[from:i]
		}
		i++ // the comma
	}
	return nil
}

func sameString(raw []byte, text string) bool {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1:len(raw)-1]) == text
	}
	var plain string
	return json.Unmarshal(raw, &plain) == nil && plain == text
}

// afterValue returns where the value that begins at i ends, in well-formed JSON.
func afterValue(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// version returns the revision that a request says it is of; false if it says more than
// one thing.
func versionOf(r *http.Request) string { return r.Header.Get("Mcp-Protocol-Version") }

// isCurrent reports whether a message carries what only the current revision has, though
// its header does not say so.
func isCurrent(m *mcpsec.Message) bool {
	return bytes.Contains(m.Params(), []byte(mcp.MetaKeyProtocolVersion))
}

// unprintable refuses a mirrored header whose value holds what a header cannot: it would
// have to be in base64.
func unprintable(h http.Header) *refusal {
	for name, values := range h {
		if !mirrored(name) || isPlain(values[0]) {
			continue
		}
		f := refuse(http.StatusBadRequest, codeBadRequest.Deny("a mirrored header holds characters that are not printable ASCII"))
		f.wire = &jsonrpc.Error{Code: mcp.CodeHeaderMismatch, Message: f.denial.Reason}
		return f
	}
	return nil
}

// mirror makes the header of a name what the SDK compares with the body.
func mirror(h http.Header) {
	values := h["Mcp-Name"]
	if len(values) != 1 || !strings.HasPrefix(values[0], encodedPrefix) {
		return
	}
	if plain, ok := plainName(values[0]); ok {
		h["Mcp-Name"] = []string{plain}
	}
}
