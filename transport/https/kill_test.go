package https

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// initialized opens a session and returns its id.
func (r *rig) initialized(token string) string {
	r.Helper()
	return r.peer(token).Open(r.T).Header.Get("Mcp-Session-Id")
}

const listenBody = `{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + meta + `}}`

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`

// streams are the ways to have a stream open: each returns what arrives on it.
var streamsOf = map[string]func(r *rig, token string) *http.Response{
	"session": func(r *rig, token string) *http.Response {
		return r.open("GET", "/mcp", "", "Authorization", "Bearer "+token, "Mcp-Session-Id", r.initialized(token), "Mcp-Protocol-Version", "2025-11-25")
	},
	"HTTP+SSE": func(r *rig, token string) *http.Response {
		return r.open("GET", "/sse", "", "Authorization", "Bearer "+token)
	},
	"listen": func(r *rig, token string) *http.Response {
		return r.open("POST", "/mcp", listenBody, "Authorization", "Bearer "+token, "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "subscriptions/listen")
	},
}

func eachStream(t *testing.T, change func(*Config), test func(r *rig, open func(token string) *http.Response)) {
	t.Helper()
	for name, open := range streamsOf {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			r := newRigAt(t, clock.now, change)
			r.clock = clock
			test(r, func(token string) *http.Response {
				res := open(r, token)
				if res.StatusCode != http.StatusOK {
					raw, _ := io.ReadAll(res.Body)
					t.Fatalf("%d %s", res.StatusCode, raw)
				}
				return res
			})
		})
	}
}

func of(subject string) func(mcpsec.Principal) bool {
	return func(p mcpsec.Principal) bool { return p.Subject == subject }
}

// ended waits for the end of a stream, and returns what came before it.
func ended(t *testing.T, body io.Reader) string {
	t.Helper()
	all := make(chan string, 1)
	go func() { raw, _ := io.ReadAll(body); all <- string(raw) }()
	select {
	case text := <-all:
		return text
	case <-time.After(httpx.Patience):
		t.Fatal("the stream does not end")
		return ""
	}
}

func TestKillSwitchEndsStreamsAtOnce(t *testing.T) {
	t.Parallel()
	eachStream(t, nil, func(r *rig, open func(string) *http.Response) {
		t := r.T
		mallory, alice := open("mallory"), open("alice")
		if n := r.server.Freeze(of("mallory"), "stolen laptop"); n == 0 {
			t.Error("nothing was ended")
		}
		ended(t, mallory.Body)
		if a := r.peer("mallory").As("x").CallTool(t, "look", nil); a.Status != http.StatusForbidden {
			t.Errorf("a frozen principal is answered with %d", a.Status)
		}
		look(t, r.peer("alice").As("x").CallTool(t, "look", map[string]any{}))
		until(t, "the end of the stream of mallory alone", func() bool { return r.server.streams.Count(stream.Stream) == 1 })
		_ = alice.Body.Close()
		r.server.Thaw()
		look(t, r.peer("mallory").As("x").CallTool(t, "look", map[string]any{}))
	})
}

func TestRevokedTokenEndsStreams(t *testing.T) {
	t.Parallel()
	eachStream(t, nil, func(r *rig, open func(string) *http.Response) {
		t := r.T
		res := open("alice/stolen")
		r.tokens.revoke("alice/stolen")
		began := httpx.NewStopwatch(t)
		ended(t, res.Body)
		if took := began.Lived(); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A stream ends when its token does, after a warning, unless a new token is shown.
func TestExpiredTokenEndsStreams(t *testing.T) {
	t.Parallel()
	eachStream(t, func(c *Config) { c.Limits.Warn = time.Hour }, func(r *rig, open func(string) *http.Response) {
		t := r.T
		r.tokens.expire("alice/short", r.server.now().Add(2*time.Minute))
		in := lines(t, open("alice/short").Body)
		if line, ok := awaitLine(t, in, ": credentials expire at "); !ok {
			t.Errorf("the stream ended with %q", line)
		}
		r.clock.add(2 * time.Minute)
		if line, ok := awaitLine(t, in, ": this stream ends: expired"); !ok {
			t.Errorf("the stream ended with %q", line)
		}
		for range in {
		}
	})
}

func TestFreshTokenKeepsStreams(t *testing.T) {
	t.Parallel()
	eachStream(t, nil, func(r *rig, open func(string) *http.Response) {
		t := r.T
		r.tokens.expire("alice/old", r.server.now().Add(time.Minute))
		r.tokens.expire("alice/new", r.server.now().Add(time.Hour))
		res := open("alice/old")
		in := lines(t, res.Body)
		look(t, r.peer("alice/new").As("x").CallTool(t, "look", map[string]any{}))
		r.clock.add(2 * time.Minute) // and not so long that the session is idle
		r.server.streams.Sweep()
		if n := r.server.streams.Count(stream.Stream); n != 1 {
			t.Errorf("%d streams are open", n)
		}
		_ = res.Body.Close()
		for range in {
		}
	})
}

// The kill switch cancels calls in every revision; it does not wait for their handlers.
func TestKillSwitchCancelsCalls(t *testing.T) {
	t.Parallel()
	for _, current := range []bool{false, true} {
		r := newRig(t, nil)
		p := r.peer("mallory")
		if p = p.As("x"); !current {
			p = r.peer("mallory").Open(t)
		}
		leave := p.Abandon(t, "tools/call", map[string]any{"name": "park", "arguments": map[string]any{}})
		ctx := <-r.parked
		if ctx.Err() != nil {
			t.Fatal("cancelled too early")
		}
		r.server.End(of("mallory"), "test")
		select {
		case <-ctx.Done():
		case <-time.After(httpx.Patience):
			t.Errorf("current=%t: the handler runs on", current)
		}
		leave()
		until(t, "the call's end", func() bool { return r.server.streams.Count(stream.Call) == 0 })
	}
}

// Edge 36: in the current revision a client that leaves cancels its call; in earlier ones
// the call goes on, but not for longer than it may.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	leave := r.peer("alice").As("x").Abandon(t, "tools/call", map[string]any{"name": "park", "arguments": map[string]any{}})
	ctx := <-r.parked
	leave()
	select {
	case <-ctx.Done():
	case <-time.After(httpx.Patience):
		t.Error("the current revision: the handler runs on")
	}
	leave = r.peer("alice").Open(t).Abandon(t, "tools/call", map[string]any{"name": "park", "arguments": map[string]any{"size": 1000}})
	ctx = <-r.parked
	leave()
	look(t, r.peer("alice").As("x").CallTool(t, "look", map[string]any{}))
	until(t, "the end of all calls but one", func() bool { return r.server.streams.Count(stream.Call) <= 1 })
	if ctx.Err() != nil {
		t.Error("an earlier revision: the call was cancelled")
	}
	if r.server.streams.Count(stream.Call) == 0 {
		t.Error("no call is counted, though one is under way")
	}
	close(r.free)
	until(t, "the call's end", func() bool { return r.server.streams.Count(stream.Call) == 0 })
}

// failed reports whether a call was answered that was cut off: by the server, or by its
// handler, if that was faster.
func failed(a *httpx.Answer, reason string) bool {
	body := string(a.Body)
	return code(a) == jsonrpc.CodeInternalError && strings.Contains(body, reason) || strings.Contains(body, `"isError":true`)
}

// A call that takes too long ends with an answer, also one whose answer has begun: the SDK
// leaves it without, and an empty 200 says nothing.
func TestCallDeadline(t *testing.T) {
	t.Parallel()
	const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`
	for name, beat := range map[string]time.Duration{"nothing sent": 0, "comments sent": sweepEvery / 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *Config) { c.Limits.Call, c.Limits.KeepAlive = 50*time.Millisecond+15*beat, beat })
			session := r.peer("alice")
			until(t, "a session, which opens in time", func() bool { // on a busy machine one may not
				a := r.peer("alice").Post(t, initialize)
				session = r.peer("alice").With("Mcp-Session-Id", a.Header.Get("Mcp-Session-Id"), "Mcp-Protocol-Version", httpx.Sessions)
				return a.Status == http.StatusOK && a.Result(nil) == nil && session.Post(t, `{"jsonrpc":"2.0","method":"notifications/initialized"}`).Status == http.StatusAccepted
			})
			for _, p := range []*httpx.Peer{r.peer("alice").As("x"), session} {
				var over <-chan struct{}
				until(t, "a call that begins in time", func() bool {
					a := p.CallTool(t, "park", map[string]any{})
					if !failed(a, "took longer") {
						t.Errorf("answered %d %q", a.Status, a.Body)
					}
					select {
					case ctx := <-r.parked:
						over = ctx.Done()
					default:
					}
					return over != nil
				})
				select {
				case <-over:
				case <-time.After(httpx.Patience):
					t.Error("the handler runs on")
				}
			}
		})
	}
}

// Edges 37 to 39: a handler that waits, a reader that does not read and open streams do
// not keep a server from ending.
func TestShutdownEnds(t *testing.T) {
	t.Parallel()
	eachStream(t, nil, func(r *rig, open func(string) *http.Response) {
		t := r.T
		res := open("alice")
		r.peer("alice").Open(t).Abandon(t, "tools/call", map[string]any{"name": "park", "arguments": map[string]any{}})
		<-r.parked
		ready := func() int { return r.do("GET", "/readyz", "").Status }
		if got := ready(); got != http.StatusOK {
			t.Errorf("ready: %d", got)
		}
		began := httpx.NewStopwatch(t)
		r.end()
		if text := ended(t, res.Body); !strings.Contains(text, "retry: 1000\n: this stream ends: shutdown") {
			t.Errorf("the stream held %q", text)
		}
		err := <-r.served
		r.served <- err
		if !errors.Is(err, ErrCutOff) {
			t.Errorf("a call was cut off, and Serve returned %v", err)
		}
		if took := began.Lived(); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		if !r.open0() {
			t.Error("something is still open")
		}
	})
}

// A call that is cut off has an answer, as long as its handler heeds its context.
func TestShutdownAnswersCalls(t *testing.T) {
	t.Parallel()
	for _, current := range []bool{true, false} {
		r := newRig(t, nil)
		p := r.peer("alice").As("x")
		if !current {
			p = r.peer("alice").Open(t)
		}
		answers := make(chan *httpx.Answer, 1)
		go func() {
			defer close(answers) // a connection that breaks ends the goroutine
			answers <- p.CallTool(t, "park", map[string]any{})
		}()
		<-r.parked
		r.end()
		if a := <-answers; a == nil || !failed(a, "shutting down") {
			t.Errorf("current=%t: answered %+v", current, a)
		}
	}
}

// A stream whose call is cut off ends with a word too.
func TestShutdownOfABusyStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	in, post := r.overSSE("alice")
	post(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"park","arguments":{}}}`)
	<-r.parked
	r.end()
	for _, word := range []string{"retry: 1000", ": this stream ends: shutdown"} {
		if _, ok := awaitLine(t, in, word); !ok {
			t.Errorf("the stream ended without %q", word)
		}
	}
}

func TestShutdownWaitsForCalls(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Limits.Drain = httpx.Patience })
	answers := make(chan *httpx.Answer, 1)
	p := r.peer("alice").As("x")
	go func() { answers <- p.CallTool(t, "park", map[string]any{}) }()
	<-r.parked
	r.end()
	until(t, "draining", r.server.leaving.Load)
	close(r.free)
	if got := look(t, <-answers); got != "freed" {
		t.Errorf("answered %q", got)
	}
	err := <-r.served
	r.served <- err
	if err != nil {
		t.Error(err)
	}
}

// Edge 38: a reader that does not read is cut off, and nobody else.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"http/1.1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			// No shorter: it bounds the other reader too, and the machine may be busy.
			r := newRig(t, func(c *Config) { c.Limits.Write = 8 * time.Second })
			if proto == "http/1.1" {
				r.client.Transport.(*http.Transport).TLSClientConfig.NextProtos = []string{proto}
				r.client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
			}
			p := r.peer("alice").As("x")
			body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look","arguments":{"size":12000000},` + meta + `}}`
			slow := r.open("POST", "/mcp", body, "Authorization", "Bearer slow", "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "look")
			r.client = r.httpClient("")
			p.HTTP = r.client
			look(t, p.CallTool(t, "look", map[string]any{}))
			until(t, "the end of the slow one", func() bool { return r.server.streams.Count(stream.Call) == 0 })
			raw, err := io.ReadAll(slow.Body)
			if err == nil {
				t.Errorf("the slow reader got all %d bytes", len(raw))
			}
		})
	}
}

func TestIdleSessionEnds(t *testing.T) {
	t.Parallel()
	clock := newClock()
	r := newRigAt(t, clock.now, func(c *Config) { c.Limits.Idle = time.Minute })
	p := r.peer("alice").Open(t)
	clock.add(time.Minute)
	until(t, "the session's end", r.open0)
	if a := p.CallTool(t, "look", nil); a.Status != http.StatusNotFound {
		t.Errorf("answered %d %s", a.Status, a.Body)
	}
	until(t, "the SDK's session's end", func() bool {
		for range r.mcp.Sessions() {
			return false
		}
		return true
	})
}

func TestDeleteEndsSession(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.peer("alice").Open(t)
	p.Abandon(t, "tools/call", map[string]any{"name": "park", "arguments": map[string]any{}})
	ctx := <-r.parked
	id := p.Header.Get("Mcp-Session-Id")
	if a := r.do("DELETE", "/mcp", "", "Authorization", "Bearer mallory", "Mcp-Session-Id", id); a.Status != http.StatusNotFound {
		t.Errorf("somebody else is answered with %d", a.Status)
	}
	if a := r.do("DELETE", "/mcp", "", "Authorization", "Bearer alice", "Mcp-Session-Id", id); a.Status != http.StatusNoContent {
		t.Errorf("answered %d", a.Status)
	}
	<-ctx.Done()
	until(t, "the session's end", r.open0)
}

// A certificate that is no longer accepted ends what was opened with it, and requests on
// the connection that is still there.
func TestCertificateNoLongerAccepted(t *testing.T) {
	t.Parallel()
	for name, open := range streamsOf {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judge := &judge{changed: make(chan func(), 1)}
			r := newRig(t, func(c *Config) { c.Tokens, c.Clients, c.Peers = nil, c.Certificates.(pki.Authorities), judge })
			r.client = r.httpClient("alice")
			res := open(r, "none")
			if res.StatusCode != http.StatusOK {
				t.Fatal(res.Status)
			}
			judge.refuse()
			began := httpx.NewStopwatch(t)
			ended(t, res.Body)
			if took := began.Lived(); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			p := r.peer("")
			if got, err := p.HTTP.Get("https://" + r.addr + "/sse"); err == nil {
				_ = got.Body.Close()
				if got.StatusCode != http.StatusForbidden {
					t.Errorf("answered %d", got.StatusCode)
				}
			}
		})
	}
}

// A judge is pki.Peers that changes its mind.
type judge struct {
	tokens
	no      bool
	changed chan func()
}

func (j *judge) refuse() {
	j.mu.Lock()
	j.no = true
	j.mu.Unlock()
	(<-j.changed)()
}

func (j *judge) Watch(ctx context.Context, changed func(), _ func(error)) error {
	j.changed <- changed
	<-ctx.Done()
	return ctx.Err()
}

// Accept accepts until it refuses.
func (j *judge) Accept([]*x509.Certificate) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.no {
		return errFrozen
	}
	return nil
}
