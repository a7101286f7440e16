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
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: w.stateless})
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

// webRecord is a control that remembers which calls passed it and how they ended.
type webRecord struct {
	mu   sync.Mutex
	seen []webCall
	more chan struct{} // closed when seen grows
}

type webCall struct {
	stage                mcpsec.Stage
	method, name, client string
	principal            mcpsec.Principal
	err                  error
}

func (c webCall) code() string {
	if d := mcpsec.AsDenial(c.err); d != nil {
		return d.Code
	}
	return ""
}

func (r *webRecord) at(stage mcpsec.Stage) mcpsec.Control {
	return mcpsec.At(stage, "record", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, c *mcpsec.Call) (mcp.Result, error) {
			res, err := next(ctx, c)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.seen = append(r.seen, webCall{stage, c.Method, c.Name, c.Client, c.Principal, err})
			if r.more != nil {
				close(r.more)
				r.more = nil
			}
			return res, err
		}
	}))
}

// calls returns what is recorded of a method.
func (r *webRecord) calls(method string) (calls []webCall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.seen {
		if c.method == method {
			calls = append(calls, c)
		}
	}
	return calls
}

// await waits until n calls of a method are recorded: a record may be written
// after the answer has left.
func (r *webRecord) await(t *testing.T, method string, n int) []webCall {
	t.Helper()
	deadline := time.After(httpx.Patience)
	for {
		r.mu.Lock()
		if r.more == nil {
			r.more = make(chan struct{})
		}
		more := r.more
		r.mu.Unlock()
		calls := r.calls(method)
		if len(calls) >= n {
			return calls
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("%d of %d calls of %q recorded", len(calls), n, method)
		}
	}
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
	record := &webRecord{}
	w := web{
		controls: []mcpsec.Control{record.at(mcpsec.StageAllow)},
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
		for _, c := range record.await(t, "tools/call", 2) {
			if c.name != "look" {
				t.Errorf("Call.Name is %q, in the body it is %q", c.name, "look")
			}
		}
		if lies := record.calls("ping"); len(lies) > 0 {
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
		record := &webRecord{}
		refuse := mcpsec.At(mcpsec.StageAllow, "no", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
			return func(ctx context.Context, c *mcpsec.Call) (mcp.Result, error) {
				if c.Method == "tools/call" && strings.Contains(string(c.Arguments), "forbidden") {
					return nil, mcpsec.Code{Name: "test.no", Kind: mcpsec.NotFound}.Deny("no")
				}
				return next(ctx, c)
			}
		}))
		p := web{stateless: true, tool: echo, controls: []mcpsec.Control{record.at(mcpsec.StageAudit), refuse}}.guarded(t)
		if got, err := call(t, p, "allowed"); got != "ran allowed" || err != nil {
			t.Errorf("an allowed call was answered with %q, %v", got, err)
		}
		_, err := call(t, p, "forbidden")
		_, unknown := webSaw(p.CallTool(t, "none", nil))
		if err == nil || unknown == nil || err.Error() != strings.ReplaceAll(unknown.Error(), "none", "look") {
			t.Errorf("a refused tool answers %v, an unknown one %v", err, unknown)
		}
		calls := record.await(t, "tools/call", 3)
		if calls[0].err != nil || calls[1].code() != "test.no" || calls[2].code() != "guard.unknown_tool" {
			t.Errorf("recorded %v", calls)
		}
	})
}

// Edge 20: a client names itself, in each request anew, so that a rule about names
// is a rule about wishes.
func TestEdgeHTTPClientNamesItself(t *testing.T) {
	t.Parallel()
	record := &webRecord{}
	w := web{
		stateless: true, controls: []mcpsec.Control{record.at(mcpsec.StageAllow)},
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
		calls := record.await(t, "tools/call", 2)
		if calls[0].client != "claude" || calls[1].client != "admin-console" {
			t.Errorf("Call.Client is %q, then %q", calls[0].client, calls[1].client)
		}
		if a, b := calls[0].principal, calls[1].principal; a.Key() != b.Key() || a.Rung != mcpsec.Token || a.Subject != "alice" {
			t.Errorf("the principal is %v, then %v", a, b)
		}
	})
}

// webRejected are messages that the SDK answers before any middleware. Each holds
// a marker that an answer must not repeat.
var webRejected = []struct{ name, method, params string }{
	{"unknown method", "marker-42/none", `{}`},
	{"malformed params", "tools/call", `{"name":["marker-42"]}`},
	{"malformed member", "tools/call", `{"name":"look","arguments":{},"_meta":"marker-42"}`},
	{"missing params", "tools/call", ``},
}

func webRejectedBody(method, params string) string {
	if params == "" {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":"rejected","method":%q}`, method)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":"rejected","method":%q,"params":%s}`, method, params)
}

// Edge 24: who looks for holes sends what does not exist, and middleware that
// counts or records sees nothing of it.
func TestEdgeHTTPRejectedBeforeMiddleware(t *testing.T) {
	t.Parallel()
	tool := func(context.Context, *mcp.CallToolRequest, webArgs) (string, error) { return "", nil }
	for _, test := range webRejected {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := webRejectedBody(test.method, test.params)
			t.Run("bare", func(t *testing.T) {
				t.Parallel()
				seen := atomic.Int32{}
				p := web{tool: tool, middleware: func(next mcp.MethodHandler) mcp.MethodHandler {
					return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
						if method == test.method {
							seen.Add(1)
						}
						return next(ctx, method, req)
					}
				}}.bare(t).Open(t)
				if err := p.Post(t, body).Result(nil); err == nil || seen.Load() != 0 {
					t.Errorf("answered with %v, middleware saw %d; the edge is gone", err, seen.Load())
				}
			})
			t.Run("guarded", func(t *testing.T) {
				t.Parallel()
				record, limit := &webRecord{}, &webRecord{}
				p := web{tool: tool, controls: []mcpsec.Control{record.at(mcpsec.StageAudit), limit.at(mcpsec.StageLimit)}}.guarded(t).Open(t)
				err := p.Post(t, body).Result(nil)
				if err == nil {
					t.Fatal("the message was accepted")
				}
				if strings.Contains(err.Error(), "marker-42") {
					t.Errorf("the answer repeats the request: %v", err)
				}
				for name, r := range map[string]*webRecord{"record": record, "limit": limit} {
					if got := r.await(t, test.method, 1); len(got) != 1 || got[0].code() != "guard.rejected" {
						t.Errorf("the %s saw %v", name, got)
					}
				}
			})
		})
	}
}

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
	for _, test := range webRejected {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			record := &webRecord{}
			p := web{tool: func(context.Context, *mcp.CallToolRequest, webArgs) (string, error) { return "", nil }, controls: []mcpsec.Control{record.at(mcpsec.StageAudit), limit}}.guarded(t).Open(t)
			a := p.Post(t, webRejectedBody(test.method, test.params))
			t.Logf("%d %s", a.Status, a.Body)
			if webCode(a) != mcpsec.CodeThrottled {
				t.Errorf("not throttled")
			}
			if got := record.await(t, test.method, 1); got[0].code() != "test.limit" {
				t.Errorf("recorded %v", got)
			}
		})
	}
}

// Rejected messages are charged to whoever sent them.
func TestEdgeHTTPRejectedPrincipal(t *testing.T) {
	t.Parallel()
	for _, test := range webRejected {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			record := &webRecord{}
			p := web{
				tokens: map[string]*auth.TokenInfo{"alice": httpx.Token("https://issuer", "alice")},
				tool:   func(context.Context, *mcp.CallToolRequest, webArgs) (string, error) { return "", nil }, controls: []mcpsec.Control{record.at(mcpsec.StageAudit)},
			}.guarded(t).With("Authorization", "Bearer alice").Open(t)
			p.Post(t, webRejectedBody(test.method, test.params))
			if got := record.await(t, test.method, 1); got[0].principal.Subject != "alice" {
				t.Errorf("recorded %v", got)
			}
		})
	}
}

func TestEdgeHTTPNotificationRejected(t *testing.T) {
	t.Parallel()
	record := &webRecord{}
	p := web{
		tool: func(context.Context, *mcp.CallToolRequest, webArgs) (string, error) { return "", nil }, controls: []mcpsec.Control{record.at(mcpsec.StageAudit)},
	}.guarded(t).Open(t)
	a := p.Post(t, `{"jsonrpc":"2.0","method":"notifications/none","params":{}}`)
	t.Logf("%d %s", a.Status, a.Body)
	record.await(t, "notifications/none", 1)
}

// webPark is a tool that waits until its context ends or it is released, and says
// which of the two it was.
type webPark struct {
	started, release chan struct{}
	end              chan error
	deadline         atomic.Bool
	gone             chan struct{} // closed when the server notices that the client left
}

func newWebPark() *webPark {
	return &webPark{started: make(chan struct{}), release: make(chan struct{}), gone: make(chan struct{}), end: make(chan error, 1)}
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

// abandon starts a parked call and breaks the connection.
func (k *webPark) abandon(t *testing.T, p *httpx.Peer) {
	t.Helper()
	t.Cleanup(sync.OnceFunc(func() {
		select {
		case <-k.release:
		default:
			close(k.release)
		}
	}))
	leave := p.With("X-Parked", "1").Abandon(t, "tools/call", map[string]any{"name": "look", "arguments": map[string]any{"text": "park"}})
	webWait(t, k.started, "the start of the handler")
	leave()
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
				close(park.release)
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
	var tool = func(inside chan<- struct{}, release <-chan struct{}) webTool {
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
			place := mine.(chan struct{}) //nolint:forcetypeassert // nothing else is stored
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
	record := &webRecord{}
	sessions := make(chan string, 8)
	w := web{
		stateless: true, controls: []mcpsec.Control{record.at(mcpsec.StageLimit)},
		tokens: map[string]*auth.TokenInfo{
			"alice": httpx.Token("https://one", "alice"), "bob": httpx.Token("https://one", "bob"), "other alice": httpx.Token("https://two", "alice"),
		},
		tool: func(_ context.Context, req *mcp.CallToolRequest, _ webArgs) (string, error) {
			return "session " + req.Session.ID(), nil
		},
	}
	_ = sessions
	look := func(t *testing.T, p *httpx.Peer) (seen []string) {
		t.Helper()
		for _, token := range []string{"alice", "bob", "other alice", "alice"} {
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
		calls := record.await(t, "tools/call", 4)
		alice, bob, other, again := calls[0].principal.Key(), calls[1].principal.Key(), calls[2].principal.Key(), calls[3].principal.Key()
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
		record := &webRecord{}
		p := web{tool: tool, controls: []mcpsec.Control{record.at(mcpsec.StageAudit)}}.guarded(t).Open(t)
		p.Header.Del("Mcp-Protocol-Version")
		if a := p.Post(t, batch); a.Status != http.StatusBadRequest || n.Load() != 0 {
			t.Errorf("status %d, %d calls ran", a.Status, n.Load())
		}
		if got := record.await(t, "", 1); got[0].code() != "guard.malformed" {
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
				record := &webRecord{}
				p := web{tool: tool, controls: []mcpsec.Control{record.at(mcpsec.StageAudit)}}.guarded(t).Open(t)
				if a := p.Post(t, test.body); a.Status != http.StatusBadRequest || len(c) > 0 {
					t.Errorf("answered with %d %s, ran: %d", a.Status, a.Body, len(c))
				}
				if got := record.await(t, "", 1); got[0].code() != "guard.malformed" {
					t.Errorf("recorded %v", got)
				}
			})
		})
	}
}

// A message that is too large is refused before it is held whole, and says so:
// the SDK answers 400 where it has no session yet.
func TestHTTPTooLarge(t *testing.T) {
	t.Parallel()
	ran := atomic.Bool{}
	tool := func(context.Context, *mcp.CallToolRequest, webArgs) (string, error) { ran.Store(true); return "", nil }
	w := web{tool: tool, controls: []mcpsec.Control{mcpsec.Settings{MaxBytes: 1 << 10}}}
	big := map[string]any{"text": strings.Repeat("x", 1<<10)}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		if a := (web{tool: func(context.Context, *mcp.CallToolRequest, webArgs) (string, error) { return "", nil }}).bare(t).Open(t).CallTool(t, "look", big); a.Status != http.StatusOK {
			t.Errorf("answered with %d; the edge is gone", a.Status)
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		p := w.guarded(t).Open(t)
		if a := p.CallTool(t, "look", big); a.Status != http.StatusRequestEntityTooLarge || ran.Load() {
			t.Errorf("answered with %d, ran: %t", a.Status, ran.Load())
		}
		webLook(t, p)
	})
}

// The guard finds its frame by a header: one from outside must mean nothing.
func TestHTTPForgedFrame(t *testing.T) {
	t.Parallel()
	held := make(chan string, 1)
	enter, leave := make(chan struct{}), make(chan struct{})
	record := &webRecord{}
	w := web{
		stateless: true,
		controls:  []mcpsec.Control{record.at(mcpsec.StageAudit)},
		tokens:    map[string]*auth.TokenInfo{"alice": httpx.Token("https://issuer", "alice"), "bob": httpx.Token("https://issuer", "bob")},
		tool: func(_ context.Context, req *mcp.CallToolRequest, in webArgs) (string, error) {
			return req.Extra.Header.Get("Mcpsec-Frame"), nil
		},
	}
	_, _, _ = held, enter, leave
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		if got := webLook(t, w.bare(t).With("Authorization", "Bearer bob", "Mcpsec-Frame", "forged").As("agent")); got != "forged" {
			t.Errorf("the handler sees %q", got)
		}
	})
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		p := w.guarded(t)
		if got := webLook(t, p.With("Authorization", "Bearer bob", "mcpsec-frame", "forged").As("agent")); got != "" {
			t.Errorf("the handler sees %q", got)
		}
		if got := record.await(t, "tools/call", 1)[0].principal; got.Subject != "bob" {
			t.Errorf("the principal is %v", got)
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
		record := &webRecord{}
		p := web{tool: tool, tls: verify, controls: []mcpsec.Control{record.at(mcpsec.StageAudit)}}.guarded(t).WithCertificate(t, authority.Issue(t, id)).Open(t)
		webLook(t, p)
		p.Post(t, webRejectedBody(webRejected[0].method, webRejected[0].params))
		for _, method := range []string{"initialize", "tools/call", webRejected[0].method} {
			if got := record.await(t, method, 1)[0].principal; got.Rung != mcpsec.Certificate || got.Subject != id {
				t.Errorf("the principal of %s is %v", method, got)
			}
		}
	})
	t.Run("guarded notification", func(t *testing.T) {
		t.Parallel()
		record := &webRecord{}
		p := web{tool: tool, tls: verify, controls: []mcpsec.Control{record.at(mcpsec.StageAudit)}}.guarded(t).WithCertificate(t, authority.Issue(t, id)).Open(t)
		for range 20 {
			p.Post(t, `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`)
		}
		for _, c := range append(record.await(t, "notifications/initialized", 1), record.await(t, "notifications/roots/list_changed", 20)...) {
			if got := c.principal; got.Rung != mcpsec.Certificate || got.Subject != id {
				t.Errorf("the principal of %s is %v", c.method, got)
			}
		}
	})
	t.Run("guarded, not verified", func(t *testing.T) {
		t.Parallel()
		record := &webRecord{}
		request := &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert}
		p := web{tool: tool, tls: request, controls: []mcpsec.Control{record.at(mcpsec.StageAudit)}}.guarded(t).WithCertificate(t, stranger.Issue(t, id)).Open(t)
		webLook(t, p)
		if got := record.await(t, "tools/call", 1)[0].principal; got.Rung != mcpsec.Address || got.Subject != "127.0.0.1" {
			t.Errorf("a certificate nobody verified became %v", got)
		}
	})
	t.Run("guarded, with a token", func(t *testing.T) {
		t.Parallel()
		record := &webRecord{}
		p := web{
			tool: tool, tls: verify, controls: []mcpsec.Control{record.at(mcpsec.StageAudit)},
			tokens: map[string]*auth.TokenInfo{"alice": httpx.Token("https://issuer", "alice")},
		}.guarded(t).WithCertificate(t, authority.Issue(t, id)).With("Authorization", "Bearer alice").Open(t)
		webLook(t, p)
		if got := record.await(t, "tools/call", 1)[0].principal; got.Rung != mcpsec.Token || got.Subject != "alice" {
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
