package https

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
)

// A session is one of a revision that has them. It belongs to the principal that opened
// it, gives nobody any right, and ends with everything that goes on in it.
type session struct {
	server *Server
	key    string          // of the principal
	ctx    context.Context //nolint:containedctx // of all calls of the session
	cancel context.CancelFunc
	token  context.Context //nolint:containedctx // values that the SDK knows the owner by
	queue  backlog

	mu      sync.Mutex
	id      string // empty until it is known
	version string // that was agreed
	entry   *stream.Entry
	streams map[*stream.Entry]struct{}
	over    bool
}

// sessionOf returns the session that a request is in. One of somebody else does not exist.
func (s *Server) sessionOf(r *http.Request, c *caller) (*session, *refusal) {
	unknown := func(reason string) *refusal {
		return refuse(http.StatusNotFound, codeSession.Deny(reason))
	}
	id := r.Header.Get("Mcp-Session-Id")
	if id == "" {
		return nil, refuse(http.StatusBadRequest, codeSession.Deny("the header Mcp-Session-Id is missing"))
	}
	held, _ := s.sessions.Load(id)
	session, ok := held.(*session)
	if !ok || session.key != c.key {
		return nil, unknown("session not found")
	}
	session.renew(c.holder)
	return session, nil
}

// initialize opens a session, if the server takes the message for the beginning of one.
func (s *Server) initialize(w http.ResponseWriter, r *http.Request, c *caller, m *mcpsec.Message) *refusal {
	n := &session{server: s, key: c.key, token: context.WithoutCancel(r.Context()), streams: make(map[*stream.Entry]struct{})}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	entry, err := s.streams.Enter(stream.Session, c.holder, n)
	if err != nil {
		n.cancel()
		return s.full(err, "Limits.SessionsPer", "Limits.Sessions").of(m)
	}
	n.entry = entry
	f := s.inSession(w, r, c, n, m)
	switch {
	case n.name() == "":
		n.cancel()
		entry.Leave()
	case n.revision() == "":
		n.End(0) // initialize was refused: the SDK has named it all the same
	}
	return f
}

// inSession serves a message of a session. That its sender leaves ends no call, as its
// revision has it: a call ends with the session, the kill switch, or when it takes longer
// than it may.
func (s *Server) inSession(w http.ResponseWriter, r *http.Request, c *caller, n *session, m *mcpsec.Message) *refusal {
	if !m.IsCall() && !m.IsAnswer() && !n.queue.admit(func() bool { return n.probe(r) }) {
		return s.backlogged(m)
	}
	mark := n.queue.mark()
	r, cancel := s.bounded(n.ctx, r, m) //nolint:contextcheck // the call outlives its request, as its revision has it
	defer cancel()
	r.Header = innerHeader(r.Header, false)
	h := hooks{event: n.sent, lasting: true}
	if m.Method == "initialize" {
		h = hooks{header: n.opened, event: n.agreed}
	}
	f := s.run(w, r, c, m, cancel, s.stateful, h)
	if f == nil && m.IsCall() && r.Context().Err() == nil {
		n.queue.settle(mark)
	}
	return f
}

// opened learns the id of the session.
func (n *session) opened(_ int, h http.Header) {
	id := h.Get("Mcp-Session-Id")
	n.mu.Lock()
	defer n.mu.Unlock()
	if id == "" || n.id != "" {
		return
	}
	n.id = id
	n.server.sessions.Store(id, n)
	if n.over { // it was ended before it had a name
		n.close()
	}
}

// agreed learns the revision of the session.
func (n *session) agreed(b []byte) {
	_, data, ok := bytes.Cut(b, []byte("data: "))
	if !ok {
		return
	}
	var msg struct {
		Result struct {
			Version string `json:"protocolVersion"`
		} `json:"result"`
	}
	if json.Unmarshal(bytes.TrimSpace(data), &msg) == nil && msg.Result.Version != "" {
		n.mu.Lock()
		n.version = msg.Result.Version
		n.mu.Unlock()
	}
}

func (n *session) sent([]byte) { n.entry.Touch() }

func (n *session) name() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id
}

func (n *session) revision() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.version
}

// renew says that the owner has used the session, with these credentials.
func (n *session) renew(h *stream.Holder) {
	n.entry.Renew(h)
	n.mu.Lock()
	defer n.mu.Unlock()
	for e := range n.streams {
		e.Renew(h)
	}
}

// attach adds a stream, which lives under the credentials that the session is used with.
func (n *session) attach(e *stream.Entry) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return false
	}
	n.streams[e] = struct{}{}
	return true
}

func (n *session) detach(e *stream.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.streams, e)
}

// End ends the session, as of [stream.Target]: its calls are cancelled and its streams
// closed.
func (n *session) End(cause stream.Cause) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return
	}
	n.over = true
	for e := range n.streams {
		if cause == 0 {
			cause = stream.Idle
		}
		e.End(cause)
	}
	n.cancel()
	if n.id != "" {
		n.close()
	}
}

// close ends the session in the SDK, which waits for the handlers of its calls. The lock
// is held.
func (n *session) close() {
	n.server.sessions.Delete(n.id)
	id, s := n.id, n.server
	s.spawn(func() {
		r, err := http.NewRequestWithContext(n.token, http.MethodDelete, "/", http.NoBody)
		if err == nil {
			r.Header.Set("Mcp-Session-Id", id)
			s.bare.ServeHTTP(discard{}, r)
		}
		n.entry.Leave()
	})
}

// Kill is of [stream.Target]: what End began goes on by itself.
func (n *session) Kill() {}

// Warn is of [stream.Target].
func (n *session) Warn(time.Time) bool { return true }

// Beat is of [stream.Target].
func (n *session) Beat(time.Time) {}

// discard is a response that nobody reads.
type discard struct{}

// Header returns a header that is not sent.
func (discard) Header() http.Header { return make(http.Header) }

// Write does nothing.
func (discard) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader does nothing.
func (discard) WriteHeader(int) {}
