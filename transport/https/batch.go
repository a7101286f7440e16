package https

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

func isBatch(body []byte) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(body) > 0 && body[0] == '['
}

// batch serves the messages of a batch, which only revision 2025-03-26 has: each is judged,
// counted and bounded like one that came alone, and one after the other. The answer is an
// array. A server that asks its client something during a batch waits in vain, since the
// answers go out together.
func (s *Server) batch(w http.ResponseWriter, r *http.Request, c *caller, body []byte) *refusal {
	n, f := s.sessionOf(r, c)
	if f != nil {
		return f
	}
	if version := versionOf(r); !s.config.Batches || n.revision() != withBatches || version != "" && version != withBatches {
		return refuse(http.StatusBadRequest, codeMalformed.Deny(mcpsec.ErrBatch.Error()).Because(mcpsec.ErrBatch))
	}
	messages, f := s.split(body, c)
	if f != nil {
		return f
	}
	out := &collector{ctl: http.NewResponseController(w), limit: s.limits.Result}
	for _, m := range messages {
		out.id = m.ID
		if f := s.inSession(out, r, c, n, m); f != nil {
			err := s.config.Guard.Refuse(r, m.Method, f.denial)
			wire, ok := errors.AsType[*jsonrpc.Error](err)
			if !ok {
				wire = &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "refused"}
			}
			if m.IsCall() {
				out.fail(wire)
			}
		}
		if out.over {
			return refuse(http.StatusInternalServerError, codeResult.Deny("the answers are larger than the server sends"))
		}
	}
	h := w.Header()
	h["Cache-Control"], h["X-Content-Type-Options"] = headerNoStore, headerNosniff
	if out.answers.Len() == 0 {
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	h.Set("Content-Type", "application/json")
	if s.limits.Write > 0 {
		_ = out.ctl.SetWriteDeadline(time.Now().Add(s.limits.Write)) // a recorder has none
	}
	_, _ = w.Write(append(out.answers.Bytes(), ']')) // the client may have left
	return nil
}

// split reads the messages of a batch, all of them before the first is served.
func (s *Server) split(body []byte, c *caller) ([]*mcpsec.Message, *refusal) {
	malformed := func(reason string) *refusal {
		return refuse(http.StatusBadRequest, codeMalformed.Deny(reason))
	}
	if err := mcpsec.CheckJSON(body); err != nil {
		return nil, malformed(err.Error())
	}
	var flat bytes.Buffer
	if err := json.Compact(&flat, body); err != nil {
		return nil, malformed("no JSON")
	}
	b := flat.Bytes()
	var messages []*mcpsec.Message
	seen := make(map[jsonrpc.ID]bool)
	for i := 1; i < len(b)-1; i++ {
		from := i
		i = afterValue(b, i)
		m, f := s.readMessage(b[from:i])
		switch {
		case f != nil:
			return nil, f
		case m.Method == "initialize":
			return nil, malformed("initialize is in a batch").of(m)
		case m.IsCall() && seen[m.ID]:
			return nil, malformed("an id is used twice").of(m)
		case s.limits.Batch >= 0 && len(messages) == s.limits.Batch:
			return nil, malformed("too many messages in a batch")
		}
		seen[m.ID] = true
		if f := s.permit(c, m); f != nil {
			return nil, f
		}
		messages = append(messages, m)
	}
	if len(messages) == 0 {
		return nil, malformed("an empty batch")
	}
	return messages, nil
}

// A collector is the response to one message of a batch.
type collector struct {
	ctl     *http.ResponseController
	limit   int64
	id      jsonrpc.ID
	answers bytes.Buffer // an array without its end
	over    bool
}

// Header returns a header that is not sent.
func (*collector) Header() http.Header { return make(http.Header) }

// WriteHeader does nothing: the status of a batch is one.
func (*collector) WriteHeader(int) {}

// FlushError does nothing.
func (*collector) FlushError() error { return nil }

// SetReadDeadline is that of the connection: it is how a response is killed.
func (c *collector) SetReadDeadline(t time.Time) error { return c.ctl.SetReadDeadline(t) }

// SetWriteDeadline is that of the connection.
func (c *collector) SetWriteDeadline(t time.Time) error { return c.ctl.SetWriteDeadline(t) }

// Write takes an event or an answer.
func (c *collector) Write(b []byte) (int, error) {
	data := b
	if _, after, ok := bytes.Cut(b, []byte("data: ")); ok {
		data = after
	}
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0 || data[0] == ':':
	case data[0] == '{' && json.Valid(data):
		c.add(data)
	case c.id.IsValid():
		c.fail(&jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "invalid request"})
	}
	return len(b), nil
}

func (c *collector) add(data []byte) {
	if c.over = c.over || c.limit >= 0 && int64(c.answers.Len()+len(data)) > c.limit; c.over {
		return
	}
	if c.answers.Len() == 0 {
		c.answers.WriteByte('[')
	} else {
		c.answers.WriteByte(',')
	}
	c.answers.Write(data)
}

func (c *collector) fail(wire *jsonrpc.Error) {
	raw, err := json.Marshal(answer{"2.0", c.id.Raw(), wire})
	if err == nil {
		c.add(raw)
	}
}
