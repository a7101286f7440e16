package https_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	pinged   = `{"jsonrpc":"2.0","id":"p","method":"ping"}`
	progress = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`
)

// A tap is a response in memory that tells of each write.
type tap struct {
	head  http.Header
	write func([]byte)
}

func (p *tap) Header() http.Header         { return p.head }
func (p *tap) WriteHeader(int)             {}
func (p *tap) Flush()                      {}
func (p *tap) Write(b []byte) (int, error) { p.write(b); return len(b), nil }

// tapped opens a session of HTTP+SSE without a network. It returns when the stream has ended.
func tapped(ctx context.Context, h http.Handler, write func([]byte)) {
	h.ServeHTTP(&tap{make(http.Header), write}, unwired(ctx, http.MethodGet, "/sse", ""))
}

// unwired is a request without a network.
func unwired(ctx context.Context, method, target, body string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
	}
	return r
}

// posted returns the status of a POST without a network.
func posted(ctx context.Context, h http.Handler, target, body string) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, unwired(ctx, http.MethodPost, target, body))
	return w.Code
}

// endpoint returns where messages are posted, if an event says so.
func endpoint(event []byte) (target string, found bool) {
	_, target, found = strings.Cut(string(event), "event: endpoint\ndata: ")
	return strings.TrimSpace(target), found
}

// unnamed asks for no credentials, where what is shown is of the transport alone.
func unnamed(c *https.Config) {
	c.Clients, c.Peers, c.Tokens, c.AllowAnonymous = nil, nil, nil, true
	c.Hosts = append(c.Hosts, "example.com") // of requests without a network
}

// timedOut reports whether the write timeout of a server ends a stream that is in order.
func timedOut(t *testing.T) bool {
	t.Helper()
	s := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	web := httptest.NewUnstartedServer(mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return s }, nil))
	web.EnableHTTP2 = true
	web.Config.WriteTimeout = 5 * time.Second // the handshake has to end within it, on a busy machine too
	web.StartTLS()
	defer web.Close()
	p := &httpx.Peer{URL: web.URL, HTTP: web.Client(), Header: make(http.Header)}
	stream, err := site.Open(t, p, http.MethodGet, web.URL+"/sse", "")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for err := error(nil); err == nil; { // nobody ends it but the server
			_, _, err = stream.Next()
		}
	}()
	select {
	case <-ended:
		return true
	case <-time.After(httpx.Patience):
		stream.Close()
		<-ended
		return false
	}
}

// shortLived reports whether a stream with events ends though each of them is taken at once.
func shortLived(t *testing.T) bool {
	t.Helper()
	const write = 5 * time.Second // each write has to end within it, on a busy machine too
	s := only(t, func(c *https.Config) { c.Limits.Write = write })
	var streams []*site.SSE
	for _, one := range []bool{true, false} {
		p := s.Peer(t, "alice")
		if transport, ok := p.HTTP.Transport.(*http.Transport); ok && one {
			transport.Protocols = new(http.Protocols)
			transport.Protocols.SetHTTP1(true)
		}
		sse, err := site.OpenSSE(t, p, s.URL)
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, sse)
	}
	pace := time.NewTicker(write / 6)
	defer pace.Stop()
	for since := time.Now(); time.Since(since) < 2*write; <-pace.C {
		for _, sse := range streams {
			sse.Messages.Post(t, pinged)
			if _, data, err := sse.Next(); err != nil || !strings.Contains(data, `"id":"p"`) {
				t.Logf("after %v: %q %v", time.Since(since), data, err)
				return true
			}
		}
	}
	return false
}

// blocked reports whether a POST waits, though its sender has left, when a hundred messages
// wait to be read. It is of the transport alone: a server reads on behind a stuck handler.
func blocked(t *testing.T) (stuck bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &mcp.SSEServerTransport{Endpoint: "/sse", Response: httptest.NewRecorder()}
		conn, err := h.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for n := range 100 {
			if code := posted(t.Context(), h, "/sse", progress); code != http.StatusAccepted {
				t.Errorf("message %d: %d", n, code)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		done := make(chan struct{})
		go func() { defer close(done); posted(gone, h, "/sse", progress) }()
		synctest.Wait()
		select {
		case <-done:
		default:
			stuck = true
		}
		_ = conn.Close() // it lets go of what waits
		<-done
	})
	return stuck
}

// unrefused reports whether a message is neither taken nor refused, or too many are taken:
// behind a handler that is stuck, and behind an id that is in use.
func unrefused(t *testing.T) bool {
	t.Helper()
	stuck := make(chan struct{})
	o := &office{parked: make(map[string]*parking)}
	s := site.New(t, site.Plan{
		Options: &mcp.ServerOptions{ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationServerRequest) { <-stuck }},
		Tools: func(g *mcpsec.Guard, s *mcp.Server) {
			site.AddTool(t, g, s, &mcp.Tool{Name: "park"}, o.park)
		},
		Change: func(c *https.Config) { c.Limits.CallsPer = 4 },
	})
	defer close(stuck)
	sse, err := site.OpenSSE(t, s.Peer(t, "alice"), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	call := func(id int) int {
		name := strconv.Itoa(id)
		return sse.Messages.Post(t, `{"jsonrpc":"2.0","id":`+name+`,"method":"tools/call","params":{"name":"park","arguments":{"text":"`+name+`"}}}`).Status
	}
	for id := range 4 {
		if code := call(id); code != http.StatusAccepted {
			t.Fatalf("call %d: %d", id, code)
		}
		await(t, o.parking(strconv.Itoa(id)).begun, "the call")
		t.Cleanup(func() { close(o.parking(strconv.Itoa(id)).leave) })
	}
	if code := call(4); code != http.StatusTooManyRequests {
		t.Errorf("a call too many: %d", code)
	}
	if code := call(0); code == http.StatusAccepted {
		t.Error("an id that is in use was taken: the SDK would answer it from where it reads")
	}
	for range 101 { // Post gives up on what is not answered
		switch code := sse.Messages.Post(t, progress).Status; code {
		case http.StatusAccepted:
		case http.StatusTooManyRequests:
			return false
		default:
			t.Fatalf("answered %d", code)
		}
	}
	return true
}

// halfThere reports whether a session can be posted to before it is connected. Its id is
// looked up where the handler keeps it, as nobody is told of it yet.
func halfThere(t *testing.T) bool {
	t.Helper()
	var code int
	var h *mcp.SSEHandler
	h = mcp.NewSSEHandler(func(r *http.Request) *mcp.Server {
		ids := reflect.ValueOf(h).Elem().FieldByName("sessions").MapKeys()
		if len(ids) == 1 {
			code = posted(r.Context(), h, "/sse?sessionid="+ids[0].String(), pinged)
		}
		return nil
	}, nil)
	tapped(t.Context(), h, func([]byte) {})
	return code == http.StatusInternalServerError
}

// unready reports whether a session is told of before it can be used: a message is posted
// while the event that tells of it is being written, which is before any client can.
func unready(t *testing.T) bool {
	t.Helper()
	h := only(t, unnamed).Listener.Handler()
	ctx, hangUp := context.WithTimeout(t.Context(), httpx.Patience)
	defer hangUp()
	var code int
	var answered bool
	tapped(ctx, h, func(b []byte) {
		if target, ok := endpoint(b); ok {
			code = posted(ctx, h, target, pinged)
			if code != http.StatusAccepted {
				hangUp()
			}
		}
		if bytes.Contains(b, []byte(`"id":"p"`)) {
			answered = true
			hangUp()
		}
	})
	if code != http.StatusAccepted || !answered {
		t.Logf("answered %d, and by an event: %t", code, answered)
		return true
	}
	return false
}
