package mcpsec_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

type whoKey struct{}

// A session belongs to the request that opened it; a call to the one it came with.
func TestTransportAuthenticates(t *testing.T) {
	t.Parallel()
	ring := mcpsec.Principal{Rung: mcpsec.Certificate, Issuer: "CN=ca", Subject: "spiffe://example.org/ring"}
	record := &httpx.Record{}
	p := web{
		controls: []mcpsec.Control{record.At(mcpsec.StageAudit)},
		tool: func(ctx context.Context, req *mcp.CallToolRequest, _ webArgs) (string, error) {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			return fmt.Sprint(child.Value(whoKey{}), req.Extra.TokenInfo, auth.TokenInfoFromContext(child)), nil
		},
		around: func(h http.Handler) http.Handler {
			// The SDK binds sessions by the user id of a token: a transport gives it one.
			h = httpx.Bearer(h, map[string]*auth.TokenInfo{"any": httpx.Token("https://issuer", "digest")})
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx := context.WithValue(mcpsec.WithPrincipal(r.Context(), ring), whoKey{}, r.Header.Get("X-Who"))
				h.ServeHTTP(w, r.WithContext(ctx))
			})
		},
	}.guarded(t).With("Authorization", "Bearer any").With("X-Who", "opener").Open(t)
	p.Set("X-Who", "caller")
	if got, want := webLook(t, p), "caller<nil> <nil>"; got != want {
		t.Errorf("the handler sees %q, want %q", got, want)
	}
	webRejected[0].post(t, p)
	for _, method := range []string{"initialize", "tools/call", webRejected[0].method} {
		if got := record.Await(t, method, 1)[0].Principal; got.Key() != ring.Key() {
			t.Errorf("the principal of %s is %v", method, got)
		}
	}
}

// contextual gives each request a context of its own.
type contextual struct{ mcp.Transport }

func (c contextual) Connect(ctx context.Context) (mcp.Connection, error) {
	conn, err := c.Transport.Connect(ctx)
	return contextualConn{conn}, err
}

type contextualConn struct{ mcp.Connection }

func (contextualConn) RequestContext(req *jsonrpc.Request) context.Context {
	return context.WithValue(context.Background(), whoKey{}, req.Method)
}

func TestConnectionAuthenticates(t *testing.T) {
	t.Parallel()
	alice := mcpsec.Principal{Rung: mcpsec.Token, Issuer: "https://issuer", Subject: "alice", Certificate: "spiffe://example.org/a"}
	record := &httpx.Record{}
	r := guarded(t, nil, record.At(mcpsec.StageAudit))
	r.addRaw("who", func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprint(ctx.Value(whoKey{}))}}}, nil
	})
	r.install()
	near, far := mcp.NewInMemoryTransports()
	peer := mcpsec.Peer{Caller: &alice, Addr: "203.0.113.7:1", Transport: "http", Process: "uid:0"}
	ss, err := r.server.Connect(context.WithoutCancel(t.Context()), r.guard.Transport(contextual{far}, peer), nil)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := mcp.NewClient(implementation, nil).Connect(t.Context(), near, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "who"})
	if err != nil || res.Content[0].(*mcp.TextContent).Text != "tools/call" {
		t.Errorf("%v, %v", res, err)
	}
	call := record.Await(t, "tools/call", 1)[0]
	if call.Principal.Key() != alice.Key() || call.Source != (mcpsec.Source{Transport: "http", Address: "203.0.113.7:1"}) {
		t.Errorf("the record has %v from %v", call.Principal, call.Source)
	}
	if err := cs.Close(); err != nil {
		t.Error(err)
	}
	_ = ss.Wait()
}

func TestPrincipalsOfTwoCertificatesDiffer(t *testing.T) {
	t.Parallel()
	p := mcpsec.Principal{Rung: mcpsec.Token, Issuer: "i", Subject: "s"}
	q, tenant := p, p
	q.Certificate, tenant.Tenant = "c", "c"
	if p.Key() == q.Key() || q.Key() == tenant.Key() {
		t.Errorf("%q, %q, %q", p.Key(), q.Key(), tenant.Key())
	}
}

// What a transport refuses by itself stands in the record and counts.
func TestTransportRefuses(t *testing.T) {
	t.Parallel()
	record := &httpx.Record{}
	r := guarded(t, nil, record.At(mcpsec.StageAudit))
	r.install()
	req, err := http.NewRequestWithContext(mcpsec.WithPrincipal(t.Context(), mcpsec.Principal{Rung: mcpsec.Address, Subject: "203.0.113.7"}), http.MethodPost, "https://x/mcp", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	refusal := mcpsec.Code{Name: "https.no_token", Kind: mcpsec.Unauthenticated}.Deny("no token")
	if got := r.guard.Refuse(req, "tools/call", refusal); webWire(got) != mcpsec.CodeUnauthenticated {
		t.Errorf("the answer is %v", got)
	}
	if call := record.Await(t, "tools/call", 1)[0]; call.Principal.Subject != "203.0.113.7" {
		t.Errorf("the record has %v", call.Principal)
	}
}

func webWire(err error) int64 {
	if wire, ok := err.(*jsonrpc.Error); ok { //nolint:errorlint // exactly this is promised
		return wire.Code
	}
	return 0
}

// ended gives each request a context that ends its call.
type ended struct {
	mcp.Transport

	end context.Context
}

func (e ended) Connect(ctx context.Context) (mcp.Connection, error) {
	conn, err := e.Transport.Connect(ctx)
	return endedConn{conn, e.end}, err
}

type endedConn struct {
	mcp.Connection

	end context.Context
}

func (e endedConn) RequestContext(*jsonrpc.Request) context.Context {
	return mcpsec.WithEnd(context.Background(), e.end)
}

// Edges 36 and 37: the calls of a session run on when it is closed. A transport that has
// frozen its principal must be able to stop them.
func TestTransportEndsCalls(t *testing.T) {
	t.Parallel()
	waits := func(ctx context.Context, began chan<- struct{}) error {
		close(began)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(httpx.Patience):
			return errors.New("the call was not ended")
		}
	}
	t.Run("connection", func(t *testing.T) {
		t.Parallel()
		end, kill := context.WithCancel(context.Background())
		defer kill()
		began, over := make(chan struct{}), make(chan error, 1)
		r := guarded(t, nil)
		r.addRaw("wait", func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			over <- waits(ctx, began)
			return &mcp.CallToolResult{}, nil
		})
		r.install()
		near, far := mcp.NewInMemoryTransports()
		ss, err := r.server.Connect(context.WithoutCancel(t.Context()), r.guard.Transport(ended{far, end}, mcpsec.Peer{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		cs, err := mcp.NewClient(implementation, nil).Connect(t.Context(), near, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "wait"}) }()
		webWait(t, began, "the call")
		kill()
		if err := <-over; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		_ = cs.Close()
		_ = ss.Wait()
	})
	t.Run("session over HTTP", func(t *testing.T) {
		t.Parallel()
		end, kill := context.WithCancel(context.Background())
		defer kill()
		began, over := make(chan struct{}), make(chan error, 1)
		p := web{
			tool: func(ctx context.Context, _ *mcp.CallToolRequest, _ webArgs) (string, error) {
				over <- waits(ctx, began)
				return "", nil
			},
			around: func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					h.ServeHTTP(w, r.WithContext(mcpsec.WithEnd(r.Context(), end)))
				})
			},
		}.guarded(t).Open(t)
		called := make(chan struct{})
		go func() { defer close(called); p.CallTool(t, "look", map[string]any{}) }()
		webWait(t, began, "the call")
		kill()
		if err := <-over; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		webWait(t, called, "the answer")
	})
}

// One list's notification must not swallow the one of another that changed with it.
func TestTwoListsChangeAtOnce(t *testing.T) {
	t.Parallel()
	r := guarded(t, nil)
	r.server.AddPrompt(&mcp.Prompt{Name: "hello"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{}, nil
	})
	r.addResource("file:///one")
	heard := make(chan string, 8)
	r.old(&mcp.ClientOptions{
		PromptListChangedHandler:   func(context.Context, *mcp.PromptListChangedRequest) { heard <- "prompts" },
		ResourceListChangedHandler: func(context.Context, *mcp.ResourceListChangedRequest) { heard <- "resources" },
	})
	r.server.AddPrompt(&mcp.Prompt{Name: "world"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{}, nil
	})
	r.addResource("file:///two")
	got := map[string]bool{}
	for len(got) < 2 {
		select {
		case which := <-heard:
			got[which] = true
		case <-time.After(httpx.Patience):
			t.Fatalf("heard of %v only", got)
		}
	}
}

func (r *rig) addResource(uri string) {
	r.server.AddResource(&mcp.Resource{URI: uri, Name: uri}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{}, nil
	})
}

func TestKeyOfAChangedCopy(t *testing.T) {
	t.Parallel()
	p, ok := mcpsec.PrincipalFrom(mcpsec.WithPrincipal(t.Context(), mcpsec.Principal{Rung: mcpsec.Token, Issuer: "i", Subject: "alice"}))
	if !ok {
		t.Fatal("no principal")
	}
	p.Subject = "bob"
	if q, _ := mcpsec.PrincipalFrom(mcpsec.WithPrincipal(t.Context(), p)); q.Key() != (mcpsec.Principal{Rung: mcpsec.Token, Issuer: "i", Subject: "bob"}).Key() {
		t.Errorf("bob has the key %s", q.Key())
	}
}
