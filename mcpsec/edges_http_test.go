package mcpsec_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// webTool is the handler of the only tool of a test's server, "look": it answers
// with a text of what it saw.
type webTool func(ctx context.Context, req *mcp.CallToolRequest, in webArgs) (string, error)

type webArgs struct {
	Text string `json:"text,omitempty"`
}

type webSeen struct {
	Seen string `json:"seen"`
}

func (h webTool) handle(ctx context.Context, req *mcp.CallToolRequest, in webArgs) (*mcp.CallToolResult, webSeen, error) {
	seen, err := h(ctx, req, in)
	return nil, webSeen{seen}, err
}

// web describes an HTTP server, once without and once with the guard.
type web struct {
	tool       webTool
	stateless  bool
	tokens     map[string]*auth.TokenInfo      // nil: nobody is asked for a token
	around     func(http.Handler) http.Handler // outside of everything
	inner      func(http.Handler) http.Handler // between the guard and the SDK
	tls        *tls.Config
	middleware mcp.Middleware
	controls   []mcpsec.Control // of the guard; Settings may be among them
}

func (w web) bare(t *testing.T) *httpx.Peer {
	t.Helper()
	s := mcp.NewServer(implementation, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "look"}, w.tool.handle)
	if w.middleware != nil {
		s.AddReceivingMiddleware(w.middleware)
	}
	return w.serve(t, s, w.sdk(s))
}

func (w web) guarded(t *testing.T) *httpx.Peer {
	t.Helper()
	g, err := mcpsec.New(w.controls...)
	if err != nil {
		t.Fatal(err)
	}
	s := mcp.NewServer(implementation, nil)
	if err := mcpsec.AddTool(g, s, &mcp.Tool{Name: "look"}, w.tool.handle); err != nil {
		t.Fatal(err)
	}
	if w.middleware != nil {
		s.AddReceivingMiddleware(w.middleware)
	}
	if err := g.Install(s); err != nil {
		t.Fatal(err)
	}
	return w.serve(t, s, g.Handler(w.sdk(s)))
}

func (w web) sdk(s *mcp.Server) http.Handler {
	h := http.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: w.stateless}))
	if w.inner != nil {
		h = w.inner(h)
	}
	return h
}

func (w web) serve(t *testing.T, s *mcp.Server, h http.Handler) *httpx.Peer {
	t.Helper()
	if w.tokens != nil {
		h = httpx.Bearer(h, w.tokens)
	}
	if w.around != nil {
		h = w.around(h)
	}
	if w.tls != nil {
		return httpx.ServeTLS(t, s, h, w.tls)
	}
	return httpx.Serve(t, s, h)
}

// webLook calls the tool and returns what it saw.
func webLook(t *testing.T, p *httpx.Peer) string {
	t.Helper()
	seen, err := webSaw(p.CallTool(t, "look", map[string]any{}))
	if err != nil {
		t.Fatalf("tools/call: %v", err)
	}
	return seen
}

func webSaw(a *httpx.Answer) (string, error) {
	var res struct {
		Content           []struct{ Text string }
		StructuredContent webSeen
		IsError           bool
	}
	if err := a.Result(&res); err != nil {
		return "", err
	}
	if res.IsError {
		return "", fmt.Errorf("tool error: %v", res.Content)
	}
	return res.StructuredContent.Seen, nil
}

// webCode returns the JSON-RPC error code of an answer; 0 if it has none.
func webCode(a *httpx.Answer) int64 {
	if wire, ok := errors.AsType[*jsonrpc.Error](a.Result(nil)); ok {
		return wire.Code
	}
	return 0
}

// webWait waits for a channel, and fails the test with what did not happen.
func webWait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(httpx.Patience):
		t.Fatalf("%s did not happen", what)
	}
}

// Edge 8: a handler that trusts its context would act with rights a token of this
// request no longer has.
func TestEdgeHTTPStaleToken(t *testing.T) {
	t.Parallel()
	w := web{
		tokens: map[string]*auth.TokenInfo{
			"wide": httpx.Token("https://issuer", "alice", "read", "write"), "narrow": httpx.Token("https://issuer", "alice", "read"),
		},
		tool: func(ctx context.Context, _ *mcp.CallToolRequest, _ webArgs) (string, error) {
			// A child context, as a handler would pass it to a library.
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			return strings.Join(auth.TokenInfoFromContext(child).Scopes, " "), nil
		},
	}
	scopes := func(t *testing.T, p *httpx.Peer) string {
		t.Helper()
		p.Set("Authorization", "Bearer wide")
		cs := p.Connect(t, nil)
		p.Set("Authorization", "Bearer narrow")
		res, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "look", Arguments: map[string]any{}})
		if err != nil || res.IsError {
			t.Fatal(res, err)
		}
		seen, _ := res.StructuredContent.(map[string]any)
		return fmt.Sprint(seen["seen"])
	}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		if got := scopes(t, w.bare(t)); got != "read write" {
			t.Errorf("the context holds scopes %q; the edge is gone", got)
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		if got := scopes(t, w.guarded(t)); got != "read" {
			t.Errorf("the context holds scopes %q, those of this request are %q", got, "read")
		}
	})
}

// Edge 8, without a token in the second request: a session that was opened with a
// token must not lend it to a request without one.
func TestEdgeHTTPLentToken(t *testing.T) {
	t.Parallel()
	token := httpx.Token("https://issuer", "alice", "read")
	token.UserID = "" // a verifier that fills in claims only: the SDK binds no session then
	w := web{
		around: func(h http.Handler) http.Handler { // tokens are optional here
			checked := httpx.Bearer(h, map[string]*auth.TokenInfo{"alice": token})
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" {
					checked.ServeHTTP(w, r)
				} else {
					h.ServeHTTP(w, r)
				}
			})
		},
		tool: func(ctx context.Context, _ *mcp.CallToolRequest, _ webArgs) (string, error) {
			if info := auth.TokenInfoFromContext(ctx); info != nil {
				return fmt.Sprint(info.Extra["sub"]), nil
			}
			return "nobody", nil
		},
	}
	without := func(t *testing.T, p *httpx.Peer) string {
		t.Helper()
		p = p.With("Authorization", "Bearer alice").Open(t)
		p.Header.Del("Authorization")
		return webLook(t, p)
	}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		if got := without(t, w.bare(t)); got != "alice" {
			t.Errorf("the context holds the token of %s; the edge is gone", got)
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		if got := without(t, w.guarded(t)); got != "nobody" {
			t.Errorf("the context of a request without a token holds that of %s", got)
		}
	})
}

// Edge 9: a handler that holds the caller's credentials can pass them on (token
// passthrough) or log them.
func TestEdgeHTTPCredentialsInHeader(t *testing.T) {
	t.Parallel()
	names := []string{"Authorization", "Cookie", "Proxy-Authorization"}
	w := web{
		tokens: map[string]*auth.TokenInfo{"alice": httpx.Token("https://issuer", "alice")},
		tool: func(_ context.Context, req *mcp.CallToolRequest, _ webArgs) (string, error) {
			held := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return req.Extra.Header.Get(name) == "" })
			return strings.Join(held, " ") + " " + req.Extra.Header.Get("X-Trace"), nil
		},
	}
	held := func(t *testing.T, p *httpx.Peer, stateless bool) string {
		t.Helper()
		p = p.With("Authorization", "Bearer alice", "Cookie", "session=1", "Proxy-Authorization", "Basic eDp5", "X-Trace", "trace-7")
		if stateless {
			return webLook(t, p.As("agent"))
		}
		return webLook(t, p.Open(t))
	}
	for _, stateless := range []bool{false, true} {
		w := w
		w.stateless = stateless
		t.Run(fmt.Sprintf("stateless=%t", stateless), func(t *testing.T) {
			t.Parallel()
			t.Run("bare", func(t *testing.T) {
				t.Parallel()
				if got := held(t, w.bare(t), stateless); got != strings.Join(names, " ")+" trace-7" {
					t.Errorf("the handler holds %q; the edge is gone", got)
				}
			})
			t.Run("guarded", func(t *testing.T) {
				t.Parallel()
				if got := held(t, w.guarded(t), stateless); got != " trace-7" {
					t.Errorf("the handler holds %q, want the harmless header only", got)
				}
			})
		})
	}
}

// Edge 17: a rule that reads Mcp-Method or Mcp-Name judges what the client wrote
// there, while the SDK runs what is in the body.
func TestEdgeHTTPLyingHeaders(t *testing.T) {
	t.Parallel()
	record := &httpx.Record{}
	w := web{
		controls: []mcpsec.Control{record.At(mcpsec.StageAllow)},
		tool: func(_ context.Context, req *mcp.CallToolRequest, _ webArgs) (string, error) {
			h := req.Extra.Header
			return h.Get("Mcp-Method") + h.Get("Mcp-Name") + h.Get("Mcp-Param-Region"), nil
		},
	}
	// What the handler sees with an old version header, and with none.
	lie := func(t *testing.T, p *httpx.Peer) [2]string {
		t.Helper()
		p = p.With("Mcp-Method", "ping", "Mcp-Name", "harmless", "Mcp-Param-Region", "eu").Open(t)
		old := webLook(t, p)
		p.Header.Del("Mcp-Protocol-Version")
		return [2]string{old, webLook(t, p)}
	}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		if got := lie(t, w.bare(t)); got != [2]string{"pingharmlesseu", "pingharmlesseu"} {
			t.Errorf("the handler sees %q; the edge is gone", got)
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		if got := lie(t, w.guarded(t)); got != [2]string{} {
			t.Errorf("the handler sees %q", got)
		}
		for _, c := range record.Await(t, "tools/call", 2) {
			if c.Name != "look" {
				t.Errorf("Call.Name is %q, in the body it is %q", c.Name, "look")
			}
		}
		if lies := record.Calls("ping"); len(lies) > 0 {
			t.Errorf("%d calls under the method of the header", len(lies))
		}
	})
}

// Edge 19: a rule that decides at initialize never sees a stateless caller, who
// sends none.
func TestEdgeHTTPFabricatedInitialization(t *testing.T) {
	t.Parallel()
	echo := func(_ context.Context, _ *mcp.CallToolRequest, in webArgs) (string, error) {
		return "ran " + in.Text, nil
	}
	call := func(t *testing.T, p *httpx.Peer, text string) (string, error) {
		t.Helper()
		return webSaw(p.With("Mcp-Protocol-Version", httpx.Sessions).CallTool(t, "look", map[string]any{"text": text}))
	}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		initialized := atomic.Int32{}
		p := web{stateless: true, tool: echo, middleware: func(next mcp.MethodHandler) mcp.MethodHandler {
			return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
				if method == "initialize" {
					initialized.Add(1)
				}
				return next(ctx, method, req)
			}
		}}.bare(t)
		if got, err := call(t, p, "a"); got != "ran a" || err != nil || initialized.Load() != 0 {
			t.Errorf("answer %q, %v after %d initializations; the edge is gone", got, err, initialized.Load())
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		record := &httpx.Record{}
		refuse := mcpsec.At(mcpsec.StageAllow, "no", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
			return func(ctx context.Context, c *mcpsec.Call) (mcp.Result, error) {
				if c.Method == "tools/call" && strings.Contains(string(c.Arguments), "forbidden") {
					return nil, mcpsec.Code{Name: "test.no", Kind: mcpsec.NotFound}.Deny("no")
				}
				return next(ctx, c)
			}
		}))
		p := web{stateless: true, tool: echo, controls: []mcpsec.Control{record.At(mcpsec.StageAudit), refuse}}.guarded(t)
		if got, err := call(t, p, "allowed"); got != "ran allowed" || err != nil {
			t.Errorf("an allowed call was answered with %q, %v", got, err)
		}
		_, err := call(t, p, "forbidden")
		_, unknown := webSaw(p.CallTool(t, "none", nil))
		if err == nil || unknown == nil || err.Error() != strings.ReplaceAll(unknown.Error(), "none", "look") {
			t.Errorf("a refused tool answers %v, an unknown one %v", err, unknown)
		}
		calls := record.Await(t, "tools/call", 3)
		if calls[0].Err != nil || calls[1].Code != "test.no" || calls[2].Code != "guard.unknown_tool" {
			t.Errorf("recorded %v", calls)
		}
	})
}

// Edge 20: a client names itself, in each request anew, so that a rule about names
// is a rule about wishes.
func TestEdgeHTTPClientNamesItself(t *testing.T) {
	t.Parallel()
	record := &httpx.Record{}
	w := web{
		stateless: true, controls: []mcpsec.Control{record.At(mcpsec.StageAllow)},
		tokens: map[string]*auth.TokenInfo{"alice": httpx.Token("https://issuer", "alice")},
		tool: func(_ context.Context, req *mcp.CallToolRequest, _ webArgs) (string, error) {
			return req.ClientInfo().Name, nil
		},
	}
	claim := func(t *testing.T, p *httpx.Peer) string {
		t.Helper()
		p = p.With("Authorization", "Bearer alice")
		return webLook(t, p.As("claude")) + " " + webLook(t, p.As("admin-console"))
	}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		if got := claim(t, w.bare(t)); got != "claude admin-console" {
			t.Errorf("the handler sees %q; the edge is gone", got)
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		claim(t, w.guarded(t))
		calls := record.Await(t, "tools/call", 2)
		if calls[0].Client != "claude" || calls[1].Client != "admin-console" {
			t.Errorf("Call.Client is %q, then %q", calls[0].Client, calls[1].Client)
		}
		if a, b := calls[0].Principal, calls[1].Principal; a.Key() != b.Key() || a.Rung != mcpsec.Token || a.Subject != "alice" {
			t.Errorf("the principal is %v, then %v", a, b)
		}
	})
}

// webIdle is a tool that does nothing.
func webIdle(context.Context, *mcp.CallToolRequest, webArgs) (string, error) { return "", nil }

const webMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`

// webRejected are messages that the SDK answers before any middleware. Each holds
// a marker, which an answer need not repeat.
var webRejected = []webMessage{
	{"unknown method", webSession, nil, "marker-42/none", `,"params":{}`},
	{"missing params", webSession, nil, "tools/call", ``},
	{"malformed params", webSession, nil, "tools/call", `,"params":{"name":["marker-42"]}`},
	{"malformed member", webSession, nil, "tools/call", `,"params":{"name":"look","_meta":"marker-42"}`},
	{"before initialization", webNoSession, nil, "tools/call", `,"params":{"name":"look","arguments":{"text":"marker-42"}}`},
	{"unknown method, sessionless", webSessionless, []string{"Mcp-Method", "marker-42/none"}, "marker-42/none", `,"params":{` + webMeta + `}`},
	{"malformed params, sessionless", webSessionless, []string{"Mcp-Method", "tools/call"}, "tools/call", `,"params":{"name":["marker-42"],` + webMeta + `}`},
	{"lying header, sessionless", webSessionless, []string{"Mcp-Method", "tools/call", "Mcp-Name", "marker-42"}, "tools/call", `,"params":{"name":"look",` + webMeta + `}`},
}

type webMessage struct {
	name    string
	where   webWhere
	headers []string
	method  string
	params  string
}

// webWhere says how a message is sent.
type webWhere int

const (
	webSession     webWhere = iota // in a session
	webNoSession                   // to a server with sessions, outside of any
	webSessionless                 // in the revision without sessions
)

// post sends the message through a peer of the server.
func (m webMessage) post(t *testing.T, p *httpx.Peer) *httpx.Answer {
	t.Helper()
	switch m.where {
	case webSession:
		p = p.Open(t)
	case webSessionless:
		p = p.With("Mcp-Protocol-Version", httpx.Sessionless)
	case webNoSession:
	}
	return p.With(m.headers...).Post(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":"rejected","method":%q%s}`, m.method, m.params))
}

// Edge 24: who looks for holes sends what does not exist, and middleware that
// counts or records sees nothing of it.
func TestEdgeHTTPRejectedBeforeMiddleware(t *testing.T) {
	t.Parallel()
	for _, message := range webRejected {
		t.Run(message.name, func(t *testing.T) {
			t.Parallel()
			w := web{tool: webIdle, stateless: message.where == webSessionless}
			t.Run("bare", func(t *testing.T) {
				t.Parallel()
				seen := atomic.Int32{}
				w := w
				w.middleware = func(next mcp.MethodHandler) mcp.MethodHandler {
					return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
						if method == message.method {
							seen.Add(1)
						}
						return next(ctx, method, req)
					}
				}
				if err := message.post(t, w.bare(t)).Result(nil); err == nil || seen.Load() != 0 {
					t.Errorf("answered with %v, middleware saw %d; the edge is gone", err, seen.Load())
				}
			})
			t.Run("guarded", func(t *testing.T) {
				t.Parallel()
				record, limit := &httpx.Record{}, &httpx.Record{}
				w := w
				w.controls = []mcpsec.Control{record.At(mcpsec.StageAudit), limit.At(mcpsec.StageLimit)}
				a := message.post(t, w.guarded(t))
				if a.Result(nil) == nil {
					t.Errorf("the message was accepted: %s", a.Body)
				}
				if strings.Contains(string(a.Body), "marker-42") {
					t.Errorf("the answer repeats the request: %s", a.Body)
				}
				for name, r := range map[string]*httpx.Record{"record": record, "limit": limit} {
					if got := r.Await(t, message.method, 1); len(got) != 1 || got[0].Code != "guard.rejected" {
						t.Errorf("the %s saw %v", name, got)
					}
				}
			})
		})
	}
}

// Edge 24: a limit that only counts rejected messages, and never refuses them,
// leaves the search for holes free of charge.
func TestEdgeHTTPRejectedThrottled(t *testing.T) {
	t.Parallel()
	limit := mcpsec.At(mcpsec.StageLimit, "limit", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, c *mcpsec.Call) (mcp.Result, error) {
			if c.Method == "initialize" || c.Method == "notifications/initialized" {
				return next(ctx, c)
			}
			return nil, mcpsec.Code{Name: "test.limit", Kind: mcpsec.Throttled}.Deny("slow down").After(time.Second)
		}
	}))
	for _, message := range webRejected {
		t.Run(message.name, func(t *testing.T) {
			t.Parallel()
			record := &httpx.Record{}
			w := web{tool: webIdle, stateless: message.where == webSessionless, controls: []mcpsec.Control{record.At(mcpsec.StageAudit), limit}}
			a := message.post(t, w.guarded(t))
			if got := webCode(a); got != mcpsec.CodeThrottled || a.Status != http.StatusTooManyRequests {
				t.Errorf("answered with %d %s", a.Status, a.Body)
			}
			if got := record.Await(t, message.method, 1); got[0].Code != "test.limit" {
				t.Errorf("recorded %v", got)
			}
		})
	}
}

// Edge 24: rejected messages are charged to who sent them, not to an address that
// others share.
func TestEdgeHTTPRejectedPrincipal(t *testing.T) {
	t.Parallel()
	for _, message := range webRejected {
		t.Run(message.name, func(t *testing.T) {
			t.Parallel()
			record := &httpx.Record{}
			w := web{
				tool: webIdle, stateless: message.where == webSessionless, controls: []mcpsec.Control{record.At(mcpsec.StageAudit)},
				tokens: map[string]*auth.TokenInfo{"alice": httpx.Token("https://issuer", "alice")},
			}
			message.post(t, w.guarded(t).With("Authorization", "Bearer alice"))
			if got := record.Await(t, message.method, 1)[0].Principal; got.Rung != mcpsec.Token || got.Subject != "alice" {
				t.Errorf("charged to %v", got)
			}
		})
	}
}

// Edge 24, for notifications: nobody answers them, so the record is all there is.
func TestEdgeHTTPRejectedNotification(t *testing.T) {
	t.Parallel()
	record := &httpx.Record{}
	p := web{tool: webIdle, controls: []mcpsec.Control{record.At(mcpsec.StageAudit)}}.guarded(t).Open(t)
	if a := p.Post(t, `{"jsonrpc":"2.0","method":"notifications/marker-42","params":{}}`); strings.Contains(string(a.Body), "marker-42") {
		t.Errorf("the answer repeats the request: %s", a.Body)
	}
	if got := record.Await(t, "notifications/marker-42", 1); got[0].Code != "guard.rejected" {
		t.Errorf("recorded %v", got)
	}
}

// Edge 36: a caller who leaves before the middleware has looked is still who he is.
func TestEdgeHTTPLeftBeforeMiddleware(t *testing.T) {
	t.Parallel()
	record := &httpx.Record{}
	p := web{
		tool: webIdle, controls: []mcpsec.Control{record.At(mcpsec.StageAudit)},
		inner: func(h http.Handler) http.Handler { // the SDK finds the client gone
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Gone") != "" {
					ctx, cancel := context.WithCancel(r.Context())
					cancel()
					r = r.WithContext(ctx)
				}
				h.ServeHTTP(w, r)
			})
		},
	}.guarded(t).Open(t).With("X-Gone", "1")
	for range 20 {
		p.CallTool(t, "look", nil)
	}
	for _, c := range record.Await(t, "tools/call", 20) {
		if c.Principal.Rung != mcpsec.Address {
			t.Errorf("the call is charged to %v", c.Principal)
		}
	}
}

// webPark is a tool that waits until its context ends or it is released, and says
// which of the two it was.
type webPark struct {
	started  chan struct{}
	release  chan struct{}
	let      func()        // releases it
	gone     chan struct{} // closed when the server notices that the client left
	end      chan error    // how the context had ended
	deadline atomic.Bool
}

func newWebPark() *webPark {
	release := make(chan struct{})
	return &webPark{
		started: make(chan struct{}), gone: make(chan struct{}), end: make(chan error, 1),
		release: release, let: sync.OnceFunc(func() { close(release) }),
	}
}

func (k *webPark) tool(ctx context.Context, _ *mcp.CallToolRequest, in webArgs) (string, error) {
	if in.Text != "park" {
		return "", nil
	}
	_, bounded := ctx.Deadline()
	k.deadline.Store(bounded)
	close(k.started)
	select {
	case <-ctx.Done():
	case <-k.release:
	case <-time.After(httpx.Patience):
	}
	k.end <- ctx.Err()
	return "", nil
}

// watch notices when the client of the parked call goes away.
func (k *webPark) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Parked") != "" {
			context.AfterFunc(r.Context(), func() { close(k.gone) })
		}
		h.ServeHTTP(w, r)
	})
}

// start starts a parked call. The returned function breaks its connection.
func (k *webPark) start(t *testing.T, p *httpx.Peer) (leave func()) {
	t.Helper()
	leave = p.With("X-Parked", "1").Abandon(t, "tools/call", map[string]any{"name": "look", "arguments": map[string]any{"text": "park"}})
	t.Cleanup(k.let)
	webWait(t, k.started, "the start of the handler")
	return leave
}

// abandon starts a parked call and breaks the connection.
func (k *webPark) abandon(t *testing.T, p *httpx.Peer) {
	t.Helper()
	k.start(t, p)()
	webWait(t, k.gone, "the end of the connection at the server")
}

func (k *webPark) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-k.end:
		return err
	case <-time.After(2 * httpx.Patience):
		t.Fatal("the handler runs on")
		return nil
	}
}

// Edge 36: a caller who asks and leaves makes the server work and pay for nobody.
func TestEdgeHTTPAbandonedCall(t *testing.T) {
	t.Parallel()
	const bound = 2 * time.Second
	modes := []struct {
		name      string
		stateless bool
		enter     func(*testing.T, *httpx.Peer) *httpx.Peer
		settings  mcpsec.Settings
		want      error
	}{
		{"2025-11-25 stateful", false, func(t *testing.T, p *httpx.Peer) *httpx.Peer { t.Helper(); return p.Open(t) },
			mcpsec.Settings{CallTimeout: bound}, context.DeadlineExceeded},
		{"2025-11-25 stateless", true, func(_ *testing.T, p *httpx.Peer) *httpx.Peer { return p.With("Mcp-Protocol-Version", httpx.Sessions) },
			mcpsec.Settings{CallTimeout: bound}, context.DeadlineExceeded},
		{"2026-07-28", true, func(_ *testing.T, p *httpx.Peer) *httpx.Peer { return p.As("agent") },
			mcpsec.Settings{}, context.Canceled},
	}
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			t.Run("bare", func(t *testing.T) {
				t.Parallel()
				park := newWebPark()
				p := mode.enter(t, web{tool: park.tool, stateless: mode.stateless, around: park.watch}.bare(t))
				park.abandon(t, p)
				webLook(t, p) // the server has gone on to other work
				park.let()
				if err := park.ended(t); err != nil || park.deadline.Load() {
					t.Errorf("the handler's context ended with %v, has a deadline: %t; the edge is gone", err, park.deadline.Load())
				}
			})
			t.Run("guarded", func(t *testing.T) {
				t.Parallel()
				park := newWebPark()
				p := mode.enter(t, web{tool: park.tool, stateless: mode.stateless, around: park.watch, controls: []mcpsec.Control{mode.settings}}.guarded(t))
				park.abandon(t, p)
				if err := park.ended(t); !errors.Is(err, mode.want) || !park.deadline.Load() {
					t.Errorf("the handler's context ended with %v, want %v; has a deadline: %t", err, mode.want, park.deadline.Load())
				}
			})
		})
	}
}

// Edge 2: the SDK starts every call at once, so that one caller can take all
// memory and all connections of what lies behind.
func TestEdgeHTTPCallsAtOnce(t *testing.T) {
	t.Parallel()
	const callers, allowed = 12, 3
	flood := func(t *testing.T, p *httpx.Peer) (refusals chan error) {
		t.Helper()
		cs := p.With("Authorization", "Bearer alice").Connect(t, nil)
		refusals = make(chan error, callers)
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				_, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "look", Arguments: map[string]any{}})
				if err != nil {
					refusals <- err
				}
			})
		}
		t.Cleanup(all.Wait)
		return refusals
	}
	tokens := map[string]*auth.TokenInfo{"alice": httpx.Token("https://issuer", "alice")}
	// A tool that holds its callers until it is released.
	tool := func(inside chan<- struct{}, release <-chan struct{}) webTool {
		return func(ctx context.Context, _ *mcp.CallToolRequest, _ webArgs) (string, error) {
			inside <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			case <-time.After(httpx.Patience):
			}
			return "", nil
		}
	}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		inside, release := make(chan struct{}, callers), make(chan struct{})
		p := web{tokens: tokens, tool: tool(inside, release)}.bare(t)
		flood(t, p)
		defer close(release)
		for n := range callers {
			webWait(t, inside, fmt.Sprintf("call %d of %d at once", n+1, callers))
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		inside, release := make(chan struct{}, callers), make(chan struct{})
		p := web{tokens: tokens, tool: tool(inside, release), controls: []mcpsec.Control{webSemaphore(allowed)}}.guarded(t)
		refusals := flood(t, p)
		defer close(release)
		for n := range callers - allowed {
			select {
			case err := <-refusals:
				if wire, ok := errors.AsType[*jsonrpc.Error](err); !ok || wire.Code != mcpsec.CodeThrottled {
					t.Errorf("refused with %v", err)
				}
			case <-time.After(httpx.Patience):
				t.Fatalf("%d of %d calls refused", n, callers-allowed)
			}
		}
		// Every call has now been refused or holds its place until it is released.
		for range allowed {
			webWait(t, inside, "a call within the bound")
		}
		if len(inside) > 0 {
			t.Errorf("%d calls ran beyond the bound", len(inside))
		}
	})
}

// webSemaphore bounds what one principal runs at once.
func webSemaphore(n int) mcpsec.Control {
	var places sync.Map // principal -> chan struct{}
	return mcpsec.At(mcpsec.StageBudget, "concurrency", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, c *mcpsec.Call) (mcp.Result, error) {
			if c.Method != "tools/call" {
				return next(ctx, c)
			}
			mine, _ := places.LoadOrStore(c.Principal.Key(), make(chan struct{}, n))
			place := mine.(chan struct{})
			select {
			case place <- struct{}{}:
				defer func() { <-place }()
				return next(ctx, c)
			default:
				return nil, mcpsec.Code{Name: "test.busy", Kind: mcpsec.Throttled}.Deny("too many calls at once")
			}
		}
	}))
}

// Trap 1: without sessions every caller has the same empty session id, so a limit
// for each session is one for all, or none.
func TestTrapHTTPSessionKey(t *testing.T) {
	t.Parallel()
	record := &httpx.Record{}
	w := web{
		stateless: true, controls: []mcpsec.Control{record.At(mcpsec.StageLimit)},
		tokens: map[string]*auth.TokenInfo{
			"alice": httpx.Token("https://one", "alice"), "bob": httpx.Token("https://one", "bob"), "alice-2": httpx.Token("https://two", "alice"),
		},
		tool: func(_ context.Context, req *mcp.CallToolRequest, _ webArgs) (string, error) {
			return "session " + req.Session.ID(), nil
		},
	}
	look := func(t *testing.T, p *httpx.Peer) (seen []string) {
		t.Helper()
		for _, token := range []string{"alice", "bob", "alice-2", "alice"} {
			seen = append(seen, webLook(t, p.With("Authorization", "Bearer "+token).As("agent")))
		}
		return seen
	}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		for _, got := range look(t, w.bare(t)) {
			if got != "session " {
				t.Errorf("%q has an id; the trap is gone", got)
			}
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		look(t, w.guarded(t))
		calls := record.Await(t, "tools/call", 4)
		alice, bob, other, again := calls[0].Principal.Key(), calls[1].Principal.Key(), calls[2].Principal.Key(), calls[3].Principal.Key()
		if alice == "" || alice == bob || alice == other || bob == other || alice != again {
			t.Errorf("keys %q, %q, %q, and again %q", alice, bob, other, again)
		}
	})
}

// A batch starts any number of calls with one request, and the SDK checks no
// header of it.
func TestHTTPBatch(t *testing.T) {
	t.Parallel()
	batch := `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look"}},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"look"}}]`
	ran := func() (webTool, *atomic.Int32) {
		n := &atomic.Int32{}
		return func(context.Context, *mcp.CallToolRequest, webArgs) (string, error) { n.Add(1); return "", nil }, n
	}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		tool, n := ran()
		p := web{tool: tool}.bare(t).Open(t)
		p.Header.Del("Mcp-Protocol-Version")
		if a := p.Post(t, batch); a.Status != http.StatusOK || n.Load() != 2 {
			t.Errorf("status %d, %d calls; the edge is gone", a.Status, n.Load())
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		tool, n := ran()
		record := &httpx.Record{}
		p := web{tool: tool, controls: []mcpsec.Control{record.At(mcpsec.StageAudit)}}.guarded(t).Open(t)
		p.Header.Del("Mcp-Protocol-Version")
		if a := p.Post(t, batch); a.Status != http.StatusBadRequest || n.Load() != 0 {
			t.Errorf("status %d, %d calls ran", a.Status, n.Load())
		}
		if got := record.Await(t, "", 1); got[0].Code != "guard.malformed" {
			t.Errorf("recorded %v", got)
		}
	})
}

// Two JSON readers that disagree about a message let one judge what the other
// never runs.
func TestHTTPAmbiguousBody(t *testing.T) {
	t.Parallel()
	bodies := []struct{ name, body string }{
		{"method twice", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"look","arguments":{"text":"x"}}}`},
		{"params twice", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none"},"params":{"name":"look","arguments":{"text":"x"}}}`},
		{"name twice", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none","name":"look","arguments":{"text":"x"}}}`},
		{"name twice, escaped", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"none","n\u0061me":"look","arguments":{"text":"x"}}}`},
		{"argument twice", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look","arguments":{"text":"harmless","text":"x"}}}`},
		{"second value", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look","arguments":{"text":"x"}}} {"jsonrpc":"2.0","id":2,"method":"ping"}`},
		{"invalid UTF-8", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"look\",\"arguments\":{\"text\":\"x\"},\"_meta\":{\"k\":\"\xff\"}}}"},
	}
	for _, test := range bodies {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ran := func() (webTool, chan string) {
				c := make(chan string, 1)
				return func(_ context.Context, _ *mcp.CallToolRequest, in webArgs) (string, error) {
					c <- in.Text
					return "", nil
				}, c
			}
			t.Run("bare", func(t *testing.T) {
				t.Parallel()
				tool, c := ran()
				p := web{tool: tool}.bare(t).Open(t)
				a := p.Post(t, test.body)
				select {
				case got := <-c:
					if got != "x" {
						t.Errorf("the tool ran with %q", got)
					}
				default:
					t.Errorf("the tool did not run: %d %s; the edge is gone", a.Status, a.Body)
				}
			})
			t.Run("guarded", func(t *testing.T) {
				t.Parallel()
				tool, c := ran()
				record := &httpx.Record{}
				p := web{tool: tool, controls: []mcpsec.Control{record.At(mcpsec.StageAudit)}}.guarded(t).Open(t)
				if a := p.Post(t, test.body); a.Status != http.StatusBadRequest || len(c) > 0 {
					t.Errorf("answered with %d %s, ran: %d", a.Status, a.Body, len(c))
				}
				if got := record.Await(t, "", 1); got[0].Code != "guard.malformed" {
					t.Errorf("recorded %v", got)
				}
			})
		})
	}
}

// A message that is too large is refused before it is held whole.
func TestHTTPTooLarge(t *testing.T) {
	t.Parallel()
	const bound = 1 << 10
	big := map[string]any{"text": strings.Repeat("x", bound)}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		if _, err := webSaw((web{tool: webIdle}).bare(t).Open(t).CallTool(t, "look", big)); err != nil {
			t.Errorf("answered with %v; the edge is gone", err)
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		record := &httpx.Record{}
		ran := atomic.Int32{}
		tool := func(context.Context, *mcp.CallToolRequest, webArgs) (string, error) { ran.Add(1); return "", nil }
		p := web{tool: tool, controls: []mcpsec.Control{mcpsec.Settings{MaxBytes: bound}, record.At(mcpsec.StageAudit)}}.guarded(t).Open(t)
		if a := p.CallTool(t, "look", big); a.Status != http.StatusRequestEntityTooLarge || ran.Load() != 0 {
			t.Errorf("answered with %d, ran: %d", a.Status, ran.Load())
		}
		if got := record.Await(t, "", 1); got[0].Code != "guard.malformed" {
			t.Errorf("recorded %v", got)
		}
		if webLook(t, p); ran.Load() != 1 {
			t.Errorf("a small message ran %d times", ran.Load())
		}
	})
}

// The guard finds its frame by a header: one from outside, made up or stolen from a
// call under way, must mean nothing.
func TestHTTPForgedFrame(t *testing.T) {
	t.Parallel()
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		p := web{tool: func(_ context.Context, req *mcp.CallToolRequest, _ webArgs) (string, error) {
			return req.Extra.Header.Get("Mcpsec-Frame"), nil
		}}.bare(t).Open(t)
		if got := webLook(t, p.With("Mcpsec-Frame", "forged")); got != "forged" {
			t.Errorf("the handler sees %q", got)
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		authority, record, park := httpx.NewAuthority(t), &httpx.Record{}, newWebPark()
		stolen := make(chan string, 1)
		p := web{
			tls:       &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool},
			stateless: true, controls: []mcpsec.Control{record.At(mcpsec.StageAudit)},
			inner: func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("X-Parked") != "" {
						stolen <- r.Header.Get("Mcpsec-Frame")
					}
					h.ServeHTTP(w, r)
				})
			},
			tool: func(ctx context.Context, req *mcp.CallToolRequest, in webArgs) (string, error) {
				_, err := park.tool(ctx, req, in)
				return req.Extra.Header.Get("Mcpsec-Frame"), err
			},
		}.guarded(t)
		alice := p.WithCertificate(t, authority.Issue(t, "spiffe://example.org/alice")).As("agent")
		bob := p.WithCertificate(t, authority.Issue(t, "spiffe://example.org/bob")).As("agent")
		park.start(t, alice)
		frame := <-stolen
		if frame == "" {
			t.Fatal("there is no frame to steal")
		}
		for _, forged := range []string{frame, "forged"} {
			if got := webLook(t, bob.With("mcpsec-frame", forged)); got != "" {
				t.Errorf("the handler sees %q", got)
			}
		}
		for _, c := range record.Await(t, "tools/call", 2) {
			if c.Principal.Subject != "spiffe://example.org/bob" {
				t.Errorf("the principal is %v", c.Principal)
			}
		}
	})
}

// A caller with a certificate and no token is who the certificate says, and not
// merely an address behind which others may sit.
func TestHTTPClientCertificate(t *testing.T) {
	t.Parallel()
	const id = "spiffe://example.org/agent/7"
	authority, stranger := httpx.NewAuthority(t), httpx.NewAuthority(t)
	tool := func(_ context.Context, req *mcp.CallToolRequest, _ webArgs) (string, error) {
		if req.Extra.TokenInfo != nil || strings.Contains(fmt.Sprint(req.Extra.Header), "spiffe") {
			return "somebody", nil
		}
		return "nobody", nil
	}
	verify := &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		p := web{tool: tool, tls: verify}.bare(t).WithCertificate(t, authority.Issue(t, id))
		if got := webLook(t, p.Open(t)); got != "nobody" {
			t.Errorf("the handler sees %s; the edge is gone", got)
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		record := &httpx.Record{}
		p := web{tool: tool, tls: verify, controls: []mcpsec.Control{record.At(mcpsec.StageAudit)}}.guarded(t).WithCertificate(t, authority.Issue(t, id)).Open(t)
		webLook(t, p)
		webRejected[0].post(t, p)
		for _, method := range []string{"initialize", "tools/call", webRejected[0].method} {
			if got := record.Await(t, method, 1)[0].Principal; got.Rung != mcpsec.Certificate || got.Subject != id {
				t.Errorf("the principal of %s is %v", method, got)
			}
		}
	})
	t.Run("guarded notification", func(t *testing.T) {
		t.Parallel()
		record := &httpx.Record{}
		p := web{tool: tool, tls: verify, controls: []mcpsec.Control{record.At(mcpsec.StageAudit)}}.guarded(t).WithCertificate(t, authority.Issue(t, id)).Open(t)
		for range 20 {
			p.Post(t, `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`)
		}
		for _, c := range append(record.Await(t, "notifications/initialized", 1), record.Await(t, "notifications/roots/list_changed", 20)...) {
			if got := c.Principal; got.Rung != mcpsec.Certificate || got.Subject != id {
				t.Errorf("the principal of %s is %v", c.Method, got)
			}
		}
	})
	t.Run("guarded, not verified", func(t *testing.T) {
		t.Parallel()
		record := &httpx.Record{}
		request := &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert}
		p := web{tool: tool, tls: request, controls: []mcpsec.Control{record.At(mcpsec.StageAudit)}}.guarded(t).WithCertificate(t, stranger.Issue(t, id)).Open(t)
		webLook(t, p)
		if got := record.Await(t, "tools/call", 1)[0].Principal; got.Rung != mcpsec.Address || got.Subject != "127.0.0.1" {
			t.Errorf("a certificate nobody verified became %v", got)
		}
	})
	t.Run("guarded, with a token", func(t *testing.T) {
		t.Parallel()
		record := &httpx.Record{}
		p := web{
			tool: tool, tls: verify, controls: []mcpsec.Control{record.At(mcpsec.StageAudit)},
			tokens: map[string]*auth.TokenInfo{"alice": httpx.Token("https://issuer", "alice")},
		}.guarded(t).WithCertificate(t, authority.Issue(t, id)).With("Authorization", "Bearer alice").Open(t)
		webLook(t, p)
		if got := record.Await(t, "tools/call", 1)[0].Principal; got.Rung != mcpsec.Token || got.Subject != "alice" {
			t.Errorf("the principal is %v, want the token's", got)
		}
	})
}

// A wrapper that swallows Flush turns a stream into silence until the end.
func TestHTTPStreamFlushes(t *testing.T) {
	t.Parallel()
	for _, stateless := range []bool{false, true} {
		t.Run(fmt.Sprintf("stateless=%t", stateless), func(t *testing.T) {
			t.Parallel()
			stream := func(t *testing.T, serve func(web, *testing.T) *httpx.Peer) {
				t.Helper()
				arrived := make(chan struct{})
				p := serve(web{stateless: stateless, tool: func(ctx context.Context, req *mcp.CallToolRequest, _ webArgs) (string, error) {
					if err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: req.Params.GetProgressToken(), Progress: 1}); err != nil {
						return "", err
					}
					select {
					case <-arrived:
						return "in time", nil
					case <-time.After(httpx.Patience):
						return "", errors.New("the notification has not arrived")
					}
				}}, t)
				cs := p.Connect(t, &mcp.ClientOptions{
					ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) { close(arrived) },
				})
				params := &mcp.CallToolParams{Name: "look", Arguments: map[string]any{}}
				params.SetProgressToken("p")
				if res, err := cs.CallTool(t.Context(), params); err != nil || res.IsError {
					t.Errorf("%v, %v", res, err)
				}
			}
			t.Run("bare", func(t *testing.T) { t.Parallel(); stream(t, web.bare) })
			t.Run("guarded", func(t *testing.T) { t.Parallel(); stream(t, web.guarded) })
		})
	}
}
