package https

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

var (
	errEnded  = errors.New("https: the response has ended")
	errResult = errors.New("https: the answer is larger than Limits.Result")
)

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// A response is what the server and the SDK write an answer to. Each write has a deadline
// of its own, comments go between events, and the registry can end it at any time. It does
// not unwrap: nobody inside may change deadlines.
type response struct {
	server *Server
	w      http.ResponseWriter
	ctl    *http.ResponseController
	conn   *connection // nil behind a listener that is not ours
	http2  bool
	begun  time.Time
	cancel context.CancelFunc
	hooks  hooks

	head   http.Header // of the SDK, until it is sent
	ended  atomic.Bool
	beats  atomic.Bool  // a comment is under way
	silent atomic.Bool  // no comments: the answer is not to be begun early
	wrote  atomic.Int64 // when, in Unix nanoseconds
	held   atomic.Bool  // the answer is written, and goes out when the handler returns

	mu       sync.Mutex // one writer at a time
	status   int        // 0 until the header is sent
	events   bool       // the answer is an event stream
	early    bool       // which was begun by a comment
	size     int64      // of what is no event stream
	answered bool       // the last event was the answer to the one call
	armed    bool       // HTTP/2: a deadline is set that would end an idle stream

	life sync.Mutex
	over bool // the handler has returned: the connection may serve another request
}

// hooks are told of what passes. The functions may be nil, and are called under the response's lock.
type hooks struct {
	header  func(code int, h http.Header)
	event   func(data []byte)
	lasting bool // that the reader has left ends nothing
	single  bool // one call is answered: nothing comes after its answer
}

// newResponse returns a response whose end cancels a context.
func (s *Server) newResponse(w http.ResponseWriter, r *http.Request, cancel context.CancelFunc) *response {
	now := s.now()
	p := &response{
		server: s, w: w, ctl: http.NewResponseController(w), conn: connectionOf(r), http2: r.ProtoMajor == 2,
		begun: now, cancel: cancel, head: make(http.Header, 8),
	}
	p.wrote.Store(now.UnixNano())
	return p
}

// Header returns the header that will be sent.
func (p *response) Header() http.Header { return p.head }

// WriteHeader sends the header.
func (p *response) WriteHeader(code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(code)
}

func (p *response) writeHeader(code int) {
	if p.status != 0 || p.ended.Load() {
		return
	}
	p.status = code
	if p.hooks.header != nil {
		p.hooks.header(code, p.head)
	}
	h := p.w.Header()
	maps.Copy(h, p.head)
	p.events = len(h["Content-Type"]) == 1 && h["Content-Type"][0] == "text/event-stream"
	p.protect(h)
	p.w.WriteHeader(code)
}

// protect adds what every answer says to those who pass it on. Under HTTP/2, names are sent in
// lower case, and net/http would have to make that of them each time.
func (p *response) protect(h http.Header) {
	buffering, options := "X-Accel-Buffering", "X-Content-Type-Options"
	if p.http2 {
		buffering, options = "x-accel-buffering", "x-content-type-options"
	}
	if p.events {
		h[buffering] = headerNo
	}
	h["Cache-Control"] = headerNoStore
	h[options] = headerNosniff
}

// Values that all answers share.
var (
	headerNo      = []string{"no"}
	headerNoStore = []string{"no-store, no-transform"}
	headerNosniff = []string{"nosniff"}
	headerEvents  = []string{"text/event-stream"}
)

// Write writes an answer, or one event of a stream.
func (p *response) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended.Load() {
		return 0, errEnded
	}
	p.writeHeader(http.StatusOK)
	if p.hooks.event != nil {
		p.hooks.event(b)
	}
	out := b
	if p.early && !bytes.HasPrefix(b, []byte("event:")) && !bytes.HasPrefix(b, []byte("data:")) && !bytes.HasPrefix(b, []byte(":")) {
		out = event("message", b) // an answer that was not to be an event
	}
	limit := p.server.limits.Result
	switch {
	case limit < 0:
	case !p.events:
		if p.size += int64(len(b)); p.size > limit {
			p.cancel()
			return 0, errResult
		}
	case int64(len(out)) > limit:
		if out = p.server.tooLarge(out); out == nil {
			return len(b), nil // a notification that nobody waits for
		}
	}
	if err := p.send(out, p.server.limits.Write); err != nil {
		return 0, err
	}
	return len(b), nil
}

// send writes under a deadline. The lock is held.
func (p *response) send(b []byte, within time.Duration) error {
	now := time.Now() // deadlines are those of the operating system
	if within > 0 {
		_ = p.ctl.SetWriteDeadline(now.Add(within)) // a recorder in a test has none
		p.armed = p.http2
	}
	_, err := p.w.Write(b)
	if err == nil && p.events {
		p.answered = p.hooks.single && isAnswer(b)
		last := p.answered && !p.silent.Load()
		if p.held.Store(last); !last {
			err = p.ctl.Flush()
		}
	}
	if within < soon {
		p.disarm()
	}
	p.wrote.Store(p.server.now().UnixNano())
	if err != nil {
		p.lost(within > 0 && time.Since(now) >= within)
	}
	return err
}

// soon is a deadline that the sweeper may be too late to take back. Others are left to it:
// most answers have ended before it comes, and each change is a message to the goroutine of
// the connection.
const soon = 5 * sweepEvery

// disarm takes back the deadline of a write that has returned. The lock is held.
func (p *response) disarm() {
	if !p.armed {
		return
	}
	p.armed = false
	p.life.Lock()
	defer p.life.Unlock()
	if !p.over {
		_ = p.ctl.SetWriteDeadline(time.Time{}) // it had one
	}
}

// lost is called when the reader has left or is too slow. The lock is held.
func (p *response) lost(slow bool) {
	p.ended.Store(true)
	if slow {
		p.server.log.Debug("a reader is too slow")
	}
	if !p.hooks.lasting {
		p.cancel()
		return
	}
	p.life.Lock()
	defer p.life.Unlock()
	p.sever()
}

// sever cuts the reader off. The life lock is held, and the handler has not returned.
func (p *response) sever() {
	_ = p.ctl.SetReadDeadline(past)
	_ = p.ctl.SetWriteDeadline(past)
	if p.conn != nil && !p.http2 {
		p.conn.cut() // the handler may not return soon
	}
}

// FlushError sends what was written. Events have been sent already.
func (p *response) FlushError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended.Load():
		return errEnded
	case p.events && p.size == 0 && p.status != 0:
		return nil
	}
	p.writeHeader(http.StatusOK)
	return p.ctl.Flush()
}

// makeUp answers a call that the SDK left without an answer because its context ended: an
// empty 200 says nothing to whoever waits. Whoever has left does not hear it.
func (p *response) makeUp(m *mcpsec.Message, reason string) {
	p.mu.Lock()
	due := !p.ended.Load() && (p.status == 0 || p.events && !p.answered)
	events := p.events
	p.mu.Unlock()
	if !due {
		return
	}
	out, err := failure(m.ID.Raw(), reason)
	if err != nil {
		p.Kill()
		return
	}
	if events {
		out = event("message", out)
	} else {
		p.head["Content-Type"] = []string{"application/json"}
	}
	_, _ = p.Write(out) // the client may have left
}

// finish is called when the handler returns. Nothing touches the connection after it.
func (p *response) finish() {
	p.ended.Store(true)
	p.mu.Lock() // a comment may be on its way, under a deadline
	defer p.mu.Unlock()
	p.life.Lock()
	defer p.life.Unlock()
	p.over = true
	if within := p.server.limits.Write; within > 0 && !p.armed && (!p.http2 || p.size > 0) {
		_ = p.ctl.SetWriteDeadline(time.Now().Add(within)) // for what is still to be flushed
	}
}

// isAnswer reports whether an event, as the SDK and [event] write it, is the answer to a call.
// With it the handler returns, which sends it together with the end of the response: that is
// a third less to send and to read than if it were flushed. What is not certain is none.
func isAnswer(event []byte) bool {
	_, data, _ := bytes.Cut(event, []byte("data: "))
	data, ok := bytes.CutPrefix(data, []byte(`{"jsonrpc":"2.0","id":`))
	if !ok {
		return false
	}
	rest := data[afterValue(data, 0):]
	return bytes.HasPrefix(rest, []byte(`,"result":`)) || bytes.HasPrefix(rest, []byte(`,"error":`))
}

// event encodes one event of a stream.
func event(name string, data []byte) []byte {
	b := make([]byte, 0, len(name)+len(data)+16)
	b = append(append(append(b, "event: "...), name...), "\ndata: "...)
	return append(append(b, data...), "\n\n"...)
}
