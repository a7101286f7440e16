package mcpsec

import (
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A frame is one message as it arrived: the first enforcement point. It tells the
// middleware who sent the message, and tells itself whether the middleware ever
// saw it.
type frame struct {
	token     string
	method    string
	principal Principal
	source    Source
	settled   bool            // a transport has authenticated the principal
	values    context.Context // of the request; nil without
	gone      context.Context // ends the call, as the caller's connection may; nil if nothing does
	seen      atomic.Bool
	lasting   bool                       // serves every notification of a connection
	taken     chan struct{}              // closed when the middleware has the message; nil if nobody waits for that
	expires   atomic.Pointer[time.Timer] // ends a frame nobody came for
	probe     *probe
}

// frameHeader carries a frame's token from the transport through the SDK to the
// middleware, which removes it. Values from outside are removed at the frame and,
// being unguessable, mean nothing without one.
const frameHeader = "Mcpsec-Frame"

// frames are the messages under way, by token.
type frames struct {
	once   sync.Once
	secret string
	count  atomic.Uint64
	held   atomic.Int64
	open   sync.Map // token -> *frame

	mu  sync.Mutex
	per map[string]int // how many of those held are of a principal, by its key
}

// maxFrames bounds the messages between frame and middleware. Calls are there for an instant,
// notifications for as long as the handlers before them in their session take. No principal
// may have more than its share: whoever opens many sessions locks out nobody else.
const (
	maxFrames    = 10_000
	maxFramesPer = maxFrames / 8
)

func (fs *frames) begin(f *frame) {
	fs.once.Do(func() { fs.secret = rand.Text() })
	f.token = fs.secret + strconv.FormatUint(fs.count.Add(1), 36)
	fs.open.Store(f.token, f)
	if !f.lasting { // of which there is one a connection: the transport bounds them
		fs.tally(f, 1)
	}
}

// tally counts a frame in or out.
func (fs *frames) tally(f *frame, by int) {
	fs.held.Add(int64(by))
	key := f.principal.Key()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.per == nil {
		fs.per = make(map[string]int)
	}
	if fs.per[key] += by; fs.per[key] == 0 {
		delete(fs.per, key)
	}
}

// end reports whether it was this call that has ended the frame.
func (fs *frames) end(f *frame) bool {
	_, held := fs.open.LoadAndDelete(f.token)
	if held && !f.lasting {
		fs.tally(f, -1)
	}
	if t := f.expires.Load(); t != nil {
		t.Stop()
	}
	return held
}

// full reports whether there is no room for a frame, in all or of its principal.
func (fs *frames) full(f *frame) bool {
	if fs.held.Load() >= maxFrames {
		return true
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.per[f.principal.Key()] >= maxFramesPer
}

// of returns the frame of a request; nil without one. It reports false for a
// request whose frame has ended: nobody knows any more who sent it.
func (fs *frames) of(extra *mcp.RequestExtra) (*frame, bool) {
	if extra == nil || extra.Header == nil {
		return nil, true
	}
	token := extra.Header.Get(frameHeader)
	if token == "" {
		return nil, true
	}
	held, _ := fs.open.Load(token)
	f, ok := held.(*frame)
	if !ok || f.lasting {
		return f, ok
	}
	if !fs.end(f) { // it holds one message, which was given up meanwhile
		return nil, false
	}
	if f.taken != nil {
		close(f.taken)
	}
	return f, true
}

// Transport returns t with the guard's frame around it: the parameters of every
// request are held to [CheckJSON] before the SDK reads them, principals come from
// the peer, and what the SDK rejects by itself (unknown methods, malformed parameters,
// calls before initialization) or acts on before any middleware (cancellation) is
// recorded and counted like every other call. Use it for stdio and in-memory
// transports:
//
//	server.Run(ctx, guard.Transport(&mcp.StdioTransport{}, peer))
func (g *Guard) Transport(t mcp.Transport, peer Peer) mcp.Transport {
	return &framedTransport{guard: g, inner: t, principal: peer.Principal(), settled: peer.Caller != nil, source: streamOf(peer)}
}

func streamOf(peer Peer) Source {
	switch {
	case peer.Transport != "":
		return Source{Transport: peer.Transport, Address: peer.Addr}
	case peer.Addr == "":
		return Source{Transport: "stdio"}
	}
	return Source{Transport: "tcp", Address: peer.Addr}
}

type framedTransport struct {
	guard     *Guard
	inner     mcp.Transport
	principal Principal
	settled   bool
	source    Source
	probe     *probe
}

func (t *framedTransport) Connect(ctx context.Context) (mcp.Connection, error) {
	if !t.guard.made() {
		return nil, errNoGuard
	}
	conn, err := t.inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	notes := &frame{principal: t.principal, settled: t.settled, source: t.source, probe: t.probe, lasting: true}
	t.guard.frames.begin(notes)
	return &framedConn{Connection: conn, transport: t, open: make(map[jsonrpc.ID]*frame), notes: notes}, nil
}

// SupportsProtocolVersion asks the transport inside, as mcp.ProtocolVersionSupporter.
func (t *framedTransport) SupportsProtocolVersion(version string) bool {
	inner, ok := t.inner.(mcp.ProtocolVersionSupporter)
	return !ok || inner.SupportsProtocolVersion(version)
}

type framedConn struct {
	mcp.Connection
	transport *framedTransport

	mu    sync.Mutex
	open  map[jsonrpc.ID]*frame // calls under way
	notes *frame                // of all notifications
}

// Read returns the next message the SDK may see.
func (c *framedConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	for {
		msg, err := c.Connection.Read(ctx)
		if err != nil {
			c.forget()
			return nil, err
		}
		req, ok := msg.(*jsonrpc.Request)
		if !ok {
			return msg, nil // an answer; the sending middleware waits for it
		}
		pass, err := c.admit(ctx, req)
		if err != nil {
			return nil, err
		}
		if pass {
			return req, nil
		}
	}
}

// admit looks at a request before the SDK does.
func (c *framedConn) admit(ctx context.Context, req *jsonrpc.Request) (bool, error) {
	t := c.transport
	f := &frame{method: req.Method, principal: t.principal, settled: t.settled, source: t.source, probe: t.probe}
	if c, ok := c.Connection.(RequestContexter); ok {
		f.values = c.RequestContext(req)
		f.gone = endOf(f.values)
	}
	fault := checkParams(req)
	if c.underWay(req) {
		fault = codeMalformed.Deny("the request id is in use")
	}
	if fault != nil {
		err := t.guard.unseen(ctx, f, fault)
		if req.IsCall() {
			return false, c.Connection.Write(ctx, &jsonrpc.Response{ID: req.ID, Error: err})
		}
		return false, nil
	}
	if !req.IsCall() {
		switch req.Method {
		case notifyInitialized, notifyRootsChanged, notifyProgress: // reach the middleware
		case notifyCancelled:
			return t.guard.unseen(ctx, f, nil) == nil, nil
		default:
			_ = t.guard.unseen(ctx, f, errRejected)
			return false, nil
		}
	}
	if req.IsCall() {
		c.begin(req.ID, f)
	} else {
		f = c.notes // never answered, so it cannot end with an answer
	}
	extra := &mcp.RequestExtra{}
	if was, ok := req.Extra.(*mcp.RequestExtra); ok && was != nil {
		*extra = *was
	}
	if extra.Header = extra.Header.Clone(); extra.Header == nil {
		extra.Header = http.Header{frameHeader: {f.token}}
	} else {
		extra.Header.Set(frameHeader, f.token)
	}
	req.Extra = extra
	return true, nil
}

// begin opens the frame of a call until it is answered.
func (c *framedConn) begin(id jsonrpc.ID, f *frame) {
	c.transport.guard.frames.begin(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[id] = f
}

// underWay reports whether a call of the same id is not answered yet.
func (c *framedConn) underWay(req *jsonrpc.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return req.IsCall() && c.open[req.ID] != nil
}

// Write sends a message, after recording an answer to a call the middleware never
// saw and taking from it whatever it repeats of the request.
func (c *framedConn) Write(ctx context.Context, msg jsonrpc.Message) error {
	res, ok := msg.(*jsonrpc.Response)
	if !ok {
		return c.Connection.Write(ctx, msg)
	}
	c.mu.Lock()
	f := c.open[res.ID]
	delete(c.open, res.ID)
	c.mu.Unlock()
	if f != nil {
		c.transport.guard.frames.end(f)
		if !f.seen.Load() {
			fault := res.Error
			if fault == nil {
				fault = c.transport.guard.unguarded(f)
			}
			msg = &jsonrpc.Response{ID: res.ID, Error: c.transport.guard.unseen(ctx, f, fault)}
		}
	}
	return c.Connection.Write(ctx, msg)
}

// forget drops the frames of a connection that has ended.
func (c *framedConn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.open {
		c.transport.guard.frames.end(f)
	}
	clear(c.open)
	c.transport.guard.frames.end(c.notes)
}
