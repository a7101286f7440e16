package https

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// An eventSession is a session over HTTP+SSE, the transport of revision 2024-11-05: a
// stream that a GET opens, and messages that are posted to it. Both belong to the
// principal that opened it. It is the transport and the connection that the SDK sees.
type eventSession struct {
	server *Server
	key    string // of the principal
	url    string // where messages are posted
	out    *response
	open   *stream.Entry // as a session
	live   *stream.Entry // as a stream
	queue  chan inbound
	done   chan struct{}
	close  func()

	ctx    context.Context //nolint:containedctx // of all calls of the session
	cancel context.CancelFunc

	reading context.Context //nolint:containedctx // of the request that was read last; the reader's own

	backlog backlog

	mu       sync.Mutex
	calls    map[jsonrpc.ID]*eventCall
	probed   jsonrpc.ID    // of the probe under way
	answered chan struct{} // closed when it is answered
}

// inbound is a message on its way, and the context of the request that brought it.
type inbound struct {
	message jsonrpc.Message
	ctx     context.Context //nolint:containedctx // it travels with the message
}

// queued is how many messages wait for the SDK to read them.
const queued = 64

// An eventStream is the response of a session, which the answers to its calls go to.
type eventStream struct {
	*response

	session *eventSession
}

// Busy reports whether answers are still to come, as of [stream.Busy].
func (e eventStream) Busy() bool {
	e.session.mu.Lock()
	defer e.session.mu.Unlock()
	return len(e.session.calls) > 0
}

const sessionParameter = "sessionid"

// serveSSE serves the endpoint of HTTP+SSE.
func (s *Server) serveSSE(w http.ResponseWriter, r *http.Request, c *caller) *refusal {
	if r.Method == http.MethodPost {
		return s.postEvent(w, r, c) //nolint:contextcheck // calls end with the session
	}
	if r.URL.RawQuery != "" {
		return refuse(http.StatusBadRequest, codeBadRequest.Deny("the URL of the stream has a query"))
	}
	if accept := r.Header.Get("Accept"); accept != "" && !strings.Contains(accept, "text/event-stream") && !strings.Contains(accept, "*/*") {
		return refuse(http.StatusNotAcceptable, codeBadRequest.Deny("the client does not accept text/event-stream"))
	}
	id := rand.Text()
	n := &eventSession{
		server: s, key: c.key, url: s.config.SSEPath + "?" + sessionParameter + "=" + id,
		queue: make(chan inbound, queued), done: make(chan struct{}), calls: make(map[jsonrpc.ID]*eventCall),
	}
	n.close = sync.OnceFunc(func() { close(n.done) })
	n.ctx, n.cancel = context.WithCancel(context.WithoutCancel(r.Context()))
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	n.out = s.newResponse(w, r, cancel)
	var err error
	n.out.silent.Store(true) // until the client knows where to post
	// The stream comes first: as soon as the session is in, the registry may end it, and that
	// ends the stream.
	if n.live, err = s.streams.Enter(stream.Stream, c.holder, eventStream{n.out, n}); err != nil {
		n.cancel()
		return s.full(err, "Limits.StreamsPer", "Limits.Streams")
	}
	defer n.live.Leave()
	defer n.out.finish()
	if n.open, err = s.streams.Enter(stream.Session, c.holder, n); err != nil {
		n.cancel()
		return s.full(err, "Limits.SessionsPer", "Limits.Sessions")
	}
	if f := s.still(c); f != nil {
		n.cancel()
		n.open.Leave()
		return f
	}
	n.out.head["Content-Type"] = headerEvents
	s.events.Store(id, n)
	transport := s.config.Guard.Transport(n, mcpsec.Peer{Caller: &c.holder.Principal, Addr: r.RemoteAddr, Transport: "http"})
	session, err := s.config.Server.Connect(n.ctx, transport, nil) //nolint:contextcheck // it ends with the session
	if err == nil {
		select {
		case <-ctx.Done():
		case <-n.done:
		}
	} else {
		s.log.Error("https: a session over HTTP+SSE cannot be opened", "error", err)
	}
	s.events.Delete(id)
	n.close()
	n.cancel()
	s.spawn(func() {
		if session != nil {
			_ = session.Close() // it waits for the handlers, and may have ended by itself
		}
		n.leave()
	})
	return nil
}

// postEvent takes a message for a session.
func (s *Server) postEvent(w http.ResponseWriter, r *http.Request, c *caller) *refusal {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if ids := query[sessionParameter]; err != nil || len(query) != 1 || len(ids) != 1 {
		return refuse(http.StatusBadRequest, codeSession.Deny("the URL does not name one session"))
	}
	held, _ := s.events.Load(query.Get(sessionParameter))
	n, ok := held.(*eventSession)
	if !ok || n.key != c.key {
		return refuse(http.StatusNotFound, codeSession.Deny("session not found"))
	}
	n.open.Renew(c.holder)
	n.live.Renew(c.holder)
	body, load, f := s.readBody(w, r, c)
	if f != nil {
		return f
	}
	defer load.Release()
	m, f := s.readMessage(body)
	if f == nil {
		f = s.permit(c, m)
	}
	if f != nil {
		return f
	}
	if f := n.take(r, c, m, load); f != nil {
		return f.of(m)
	}
	w.Header()["Cache-Control"] = headerNoStore
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// take queues a message. A call takes over its load.
func (n *eventSession) take(r *http.Request, c *caller, m *mcpsec.Message, load *stream.Load) *refusal {
	s := n.server
	if !m.IsCall() {
		if f := s.still(c); f != nil {
			return f
		}
		if !m.IsAnswer() && !n.backlog.admit(func() bool { return n.probe(r) }) {
			return s.backlogged(m)
		}
		return n.push(n.ctx, r, m) // it ends with the session
	}
	var end context.Context
	var cancel context.CancelFunc
	if s.limits.Call > 0 {
		end, cancel = context.WithTimeout(n.ctx, s.limits.Call)
	} else {
		end, cancel = context.WithCancel(n.ctx)
	}
	f := n.begin(c, m, load, cancel)
	if f != nil {
		cancel()
		return f
	}
	if f = n.push(end, r, m); f != nil {
		n.end(m.ID)
	}
	return f
}

// push queues a message, whose call ends with a context.
func (n *eventSession) push(end context.Context, r *http.Request, m *mcpsec.Message) *refusal {
	message, err := jsonrpc.DecodeMessage(m.Bytes())
	if err != nil {
		return refuse(http.StatusBadRequest, codeMalformed.Deny("no JSON-RPC message").Because(err))
	}
	ctx := mcpsec.WithEnd(context.WithoutCancel(r.Context()), end)
	if req, ok := message.(*jsonrpc.Request); ok {
		req.Extra = &mcp.RequestExtra{TokenInfo: auth.TokenInfoFromContext(ctx), Header: innerHeader(r.Header, false)}
	}
	select {
	case <-n.done:
		return refuse(http.StatusNotFound, codeSession.Deny("session not found"))
	case n.queue <- inbound{message, ctx}:
		return nil
	default:
		return n.server.full(stream.ErrFull, "messages that wait in one session", "")
	}
}
