package https

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// streamable serves the endpoint of Streamable HTTP: the current revision without
// sessions, earlier ones with, as the request says.
func (s *Server) streamable(w http.ResponseWriter, r *http.Request, c *caller) *refusal {
	version := versionOf(r)
	switch {
	case version == current:
		return s.serveCurrent(w, r, c)
	case r.Method == http.MethodPost:
		return s.postEarlier(w, r, c)
	case s.refuses(version):
		return s.badVersion(version)
	}
	session, f := s.sessionOf(r, c)
	if f != nil {
		return f
	}
	if r.Method == http.MethodDelete {
		session.End(0)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return s.listen(w, r, c, session)
}

// serveCurrent serves a message of the current revision.
func (s *Server) serveCurrent(w http.ResponseWriter, r *http.Request, c *caller) *refusal {
	if r.Method != http.MethodPost {
		s.wrongMethod(w, r, http.MethodPost)
		return nil
	}
	body, load, f := s.readBody(w, r, c)
	if f != nil {
		return f
	}
	defer load.Release()
	m, f := s.readMessage(body)
	if f != nil {
		return f
	}
	if f = unprintable(r.Header); f == nil {
		f = s.permit(c, m)
	}
	if f != nil {
		return f.of(m)
	}
	r, cancel := s.bounded(r.Context(), r, m)
	defer cancel()
	r.Header = innerHeader(r.Header, true)
	mirror(r.Header)
	return s.run(w, r, c, m, cancel, s.stateless, hooks{})
}

// refuses reports whether a revision is none of the earlier ones that the server speaks.
// Empty may be any of them.
func (s *Server) refuses(version string) bool {
	return version != "" && (!s.config.Legacy || !slices.Contains(earlier, version))
}

// postEarlier serves a message of a revision with sessions, or of none.
func (s *Server) postEarlier(w http.ResponseWriter, r *http.Request, c *caller) *refusal {
	body, load, f := s.readBody(w, r, c)
	if f != nil {
		return f
	}
	defer load.Release()
	inSession := s.config.Legacy && r.Header.Get("Mcp-Session-Id") != ""
	if inSession && isBatch(body) {
		return s.batch(w, r, c, body)
	}
	m, f := s.readMessage(body)
	if f != nil {
		return f
	}
	var session *session
	switch {
	case s.refuses(versionOf(r)):
		f = s.badVersion(versionOf(r))
	case inSession:
		session, f = s.sessionOf(r, c)
	default:
		f = s.first(r, m)
	}
	if f == nil {
		f = s.permit(c, m)
	}
	if f != nil {
		return f.of(m)
	}
	if session == nil {
		return s.initialize(w, r, c, m)
	}
	return s.inSession(w, r, c, session, m)
}

// first judges a message that is in no session: it opens one, or it is not of a revision
// that the server speaks.
func (s *Server) first(r *http.Request, m *mcpsec.Message) *refusal {
	version := versionOf(r)
	switch {
	case isCurrent(m) && version == "":
		f := refuse(http.StatusBadRequest, codeVersion.Deny("the header MCP-Protocol-Version is missing"))
		f.wire = &jsonrpc.Error{Code: mcp.CodeHeaderMismatch, Message: f.denial.Reason}
		return f
	case !s.config.Legacy:
		return s.badVersion(version)
	case m.Method != "initialize":
		return refuse(http.StatusBadRequest, codeSession.Deny("the header Mcp-Session-Id is missing"))
	}
	return nil
}

// bounded returns a request whose context ends with another one, or when a call takes
// longer than it may. Its values stay. What comes of a notification may take longer than its
// request, and ends with the other context alone.
func (s *Server) bounded(end context.Context, r *http.Request, m *mcpsec.Message) (*http.Request, context.CancelFunc) {
	var cancel context.CancelFunc
	until := end
	if s.limits.Call > 0 && m.IsCall() && m.Method != methodListen {
		end, cancel = context.WithTimeout(end, s.limits.Call)
	} else {
		end, cancel = context.WithCancel(end)
	}
	if m.IsCall() {
		until = end
	}
	return r.WithContext(mcpsec.WithEnd(joined{end, r.Context()}, until)), cancel
}

// joined is a context that ends as one and has the values of another.
type joined struct {
	context.Context //nolint:containedctx // it is one
	values          context.Context
}

// Value returns a value of the request.
func (j joined) Value(key any) any {
	if _, ok := key.(*int); ok { // package context looks for a parent to be cancelled with
		return j.Context.Value(key)
	}
	return j.values.Value(key)
}

// methodListen is the call that lasts.
const methodListen = "subscriptions/listen"

// run takes a message through the guard and the SDK, and registers the answer while it
// lasts.
func (s *Server) run(w http.ResponseWriter, r *http.Request, c *caller, m *mcpsec.Message, cancel context.CancelFunc, h http.Handler, hooks hooks) *refusal {
	p := s.newResponse(w, r, cancel)
	p.hooks = hooks
	p.hooks.single = m.IsCall() && m.Method != methodListen
	p.silent.Store(m.Method == "initialize")
	if m.IsCall() {
		kind, per, total := stream.Call, "Limits.CallsPer", "Limits.Calls"
		if m.Method == methodListen {
			kind, per, total = stream.Stream, "Limits.StreamsPer", "Limits.Streams"
		}
		entry, err := s.streams.Enter(kind, c.holder, p)
		if err != nil {
			return s.full(err, per, total).of(m)
		}
		defer entry.Leave()
	}
	defer p.finish()
	if f := s.still(c); f != nil {
		return f.of(m)
	}
	r.Body = m.Body()
	r.ContentLength = int64(len(m.Bytes()))
	h.ServeHTTP(p, r)
	if !p.hooks.single {
		return nil
	}
	switch {
	case errors.Is(r.Context().Err(), context.DeadlineExceeded):
		p.makeUp(m, "the call took longer than the server lets it")
	case s.leaving.Load():
		p.makeUp(m, "the server is shutting down")
	default:
		p.makeUp(m, "the call was ended")
	}
	return nil
}

// listen serves the stream of a session.
func (s *Server) listen(w http.ResponseWriter, r *http.Request, c *caller, session *session) *refusal {
	if r.Header.Get("Last-Event-ID") != "" {
		// Nothing is kept for replay, so the stream begins anew.
		r.Header.Del("Last-Event-ID")
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	p := s.newResponse(w, r, cancel)
	p.hooks.event = session.sent
	entry, err := s.streams.Enter(stream.Stream, c.holder, p)
	if err != nil {
		return s.full(err, "Limits.StreamsPer", "Limits.Streams")
	}
	defer entry.Leave()
	defer p.finish()
	if f := s.still(c); f != nil {
		return f
	}
	if !session.attach(entry) {
		return refuse(http.StatusNotFound, codeSession.Deny("session not found"))
	}
	defer session.detach(entry)
	r = r.WithContext(ctx)
	r.Header = innerHeader(r.Header, false)
	s.stateful.ServeHTTP(p, r)
	return nil
}
