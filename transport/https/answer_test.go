package https

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
)

// What is taken for the answer to a call is sent with the end of the response. Anything else
// would wait for an end that may not come.
func TestAnswersAreToldFromTheRest(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]bool{
		`{"jsonrpc":"2.0","id":1,"result":{}}`:                                        true,
		`{"jsonrpc":"2.0","id":"a\",\"method\":","error":{"code":1,"message":""}}`:    true,
		`{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{}}`:          false,
		`{"jsonrpc":"2.0","id":"\",\"result\":","method":"roots/list","params":{}}`:   false,
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"result":{}}}`:   false,
		`{"jsonrpc":"2.0","method":"x","params":{"jsonrpc":"2.0","id":1,"result":1}}`: false,
		`{"id":1,"jsonrpc":"2.0","result":{}}`:                                        false, // not as the SDK writes it
		`{"jsonrpc":"2.0","id":`:                                                      false,
		``:                                                                            false,
	} {
		if got := isAnswer(event("message", []byte(message))); got != want {
			t.Errorf("%s: %v", message, got)
		}
	}
	for _, text := range []string{":\n\n", "", "retry: 1000\n: this stream ends: shutdown\n\n"} {
		if isAnswer([]byte(text)) {
			t.Errorf("%q is taken for an answer", text)
		}
	}
}

// sending counts what is sent before the handler returns.
type sending struct {
	memory

	mu    sync.Mutex
	count int
}

// FlushError is of [http.ResponseController].
func (f *sending) FlushError() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	return nil
}

func (f *sending) times() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

var (
	anAnswer = event("message", []byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	aWord    = event("message", []byte(`{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`))
)

// writes returns a response to which events were written, and what was flushed of them.
func writes(t *testing.T, r *rig, h hooks, events ...[]byte) (*response, *sending) {
	t.Helper()
	w := &sending{memory: memory{head: make(http.Header)}}
	p := r.server.newResponse(w, request(t.Context(), ""), func() {})
	p.hooks = h
	p.head["Content-Type"] = headerEvents
	for _, e := range events {
		if _, err := p.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	return p, w
}

// An answer that its handler keeps, because it does not return, goes out all the same.
func TestAnswerOfAHandlerThatStays(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Limits.KeepAlive = -1 })
	for name, c := range map[string]struct {
		hooks  hooks
		events [][]byte
		want   int
	}{
		"a word and the answer":       {hooks{single: true}, [][]byte{aWord, anAnswer}, 1},
		"on a stream for many":        {hooks{}, [][]byte{aWord, anAnswer}, 2},
		"a word after the answer":     {hooks{single: true}, [][]byte{anAnswer, aWord}, 1},
		"the answer and nothing else": {hooks{single: true}, [][]byte{anAnswer}, 0},
	} {
		p, w := writes(t, r, c.hooks, c.events...)
		if got := w.times(); got != c.want {
			t.Errorf("%s: flushed %d times, not %d", name, got, c.want)
		}
		p.finish()
	}
	p, w := writes(t, r, hooks{single: true}, anAnswer)
	e, err := r.server.streams.Enter(stream.Call, &stream.Holder{Key: "k"}, p)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Leave()
	until(t, "the answer", func() bool { return w.times() > 0 }) // by the sweeper
	p.finish()
}

// A door is a listener whose connections can be held shut: what is written waits.
type door struct {
	net.Listener

	mu   sync.Mutex
	shut chan struct{} // nil while it is open
}

func (d *door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &doorway{Conn: c, door: d, gone: make(chan struct{})}, nil
}

func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = make(chan struct{})
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.shut)
	d.shut = nil
}

type doorway struct {
	net.Conn

	door *door
	once sync.Once
	gone chan struct{}
}

func (w *doorway) Write(b []byte) (int, error) {
	w.door.mu.Lock()
	shut := w.door.shut
	w.door.mu.Unlock()
	if shut != nil {
		select {
		case <-shut:
		case <-w.gone:
			return 0, net.ErrClosed
		}
	}
	return w.Conn.Write(b)
}

func (w *doorway) Close() error {
	w.once.Do(func() { close(w.gone) })
	return w.Conn.Close()
}

// An answer that was written before the server ends is not cut off by the end, though its
// call is over.
func TestShutdownLetsAnswersLeave(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Limits.Drain = httpx.Patience })
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Listener: l}
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(context.Background(), d) }()
	client := r.httpClient("")
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	p := r.peer("alice")
	p.URL, p.HTTP = "https://"+l.Addr().String()+"/mcp", client
	p = p.Open(t)
	answers := make(chan error, 1)
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL, strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"park","arguments":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	q.Header = p.Header.Clone()
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Accept", "application/json, text/event-stream")
	go func() {
		res, err := client.Do(q)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			err = errors.Join(err, res.Body.Close())
		}
		answers <- err
	}()
	<-r.parked
	d.close()
	close(r.free)
	until(t, "the end of the call", func() bool { return r.server.streams.Count(stream.Call) == 0 })
	ended := make(chan error, 1)
	go func() { ended <- r.server.Shutdown(context.Background()) }()
	until(t, "the shutdown", func() bool {
		release, err := r.server.streams.Reserve(stream.Reading, "nobody")
		if err == nil {
			release()
		}
		return errors.Is(err, stream.ErrClosed)
	})
	select { // what is cut off is cut off at once
	case err := <-answers:
		t.Errorf("the answer was cut off: %v", err)
		d.open()
	case <-time.After(50 * time.Millisecond):
		d.open()
		if err := <-answers; err != nil {
			t.Errorf("the answer was cut off: %v", err)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-served
}

// timed remembers the deadlines that were set.
type timed struct {
	sending

	deadlines []time.Time
}

// SetWriteDeadline is of [http.ResponseController].
func (w *timed) SetWriteDeadline(at time.Time) error {
	w.deadlines = append(w.deadlines, at)
	return nil
}

// A deadline of HTTP/2 stays set after a write, and would end a stream that is idle: the next
// beat takes it back, unless the connection serves others by then. What a handler has not sent
// leaves under one.
func TestDeadlinesOfIdleStreams(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		within time.Duration
		kind   []string
		do     func(*response)
		want   []bool // set, or taken back
	}{
		"an idle stream":               {time.Minute, headerEvents, func(p *response) { p.Beat(time.Now()); p.Beat(time.Now()) }, []bool{true, false}},
		"the response is over":         {time.Minute, headerEvents, func(p *response) { p.finish(); p.Beat(time.Now()) }, []bool{true}},
		"too short for a beat":         {time.Second, headerEvents, func(p *response) { p.Beat(time.Now()) }, []bool{true, false}},
		"it is over, and too short":    {time.Second, headerEvents, func(p *response) { p.finish() }, []bool{true, false}},
		"an answer that is no stream":  {time.Minute, []string{"application/json"}, func(p *response) { p.finish() }, []bool{true}},
		"a late one that is no stream": {time.Minute, []string{"application/json"}, func(p *response) { p.Beat(time.Now()); p.finish() }, []bool{true, false, true}},
	} {
		r := newRig(t, func(conf *Config) { conf.Limits.Write = c.within })
		w := &timed{sending: sending{memory: memory{head: make(http.Header)}}}
		p := r.server.newResponse(w, request(t.Context(), ""), func() {})
		p.http2 = true
		p.head["Content-Type"] = c.kind
		if _, err := p.Write(aWord); err != nil {
			t.Fatal(err)
		}
		c.do(p)
		got := make([]bool, 0, len(w.deadlines))
		for _, at := range w.deadlines {
			got = append(got, !at.IsZero())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: deadlines %v, want %v", name, got, c.want)
		}
		p.finish()
	}
}
