package https_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// templates adds a number of templates that match nothing that is read.
func templates(number int) func(*mcpsec.Guard, *mcp.Server) {
	return func(_ *mcpsec.Guard, s *mcp.Server) {
		for n := range number {
			name := fmt.Sprintf("x%d", n)
			s.AddResourceTemplate(&mcp.ResourceTemplate{Name: name, URITemplate: name + "://{a}/{b}/{c}"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
				return &mcp.ReadResourceResult{}, nil
			})
		}
	}
}

// read is how many allocations a read of what does not exist costs, and how it is answered.
func read(t *testing.T, p *httpx.Peer) (allocations float64, code int) {
	t.Helper()
	p = p.As("reader")
	allocations = testing.AllocsPerRun(3, func() {
		code = p.Send(t, "resources/read", map[string]any{"name": "none://a/b/c", "uri": "none://a/b/c"}).Status
	})
	return allocations, code
}

// Edge 46: a read of what nothing can produce compiles no template. It counts allocations of
// the whole process, so it is not parallel.
func TestEdgeTemplatesCompiledForEachRead(t *testing.T) { //nolint:paralleltest // see above
	const few, many = 1, 100
	const grown = 10 * many // a template costs far more than ten allocations, an answer varies by far less
	cost := func(peer func(number int) *httpx.Peer) (growth float64, code int) {
		less, _ := read(t, peer(few))
		more, code := read(t, peer(many))
		return more - less, code
	}
	bare, was := cost(func(number int) *httpx.Peer {
		return site.NewBare(t, site.Plan{Tools: templates(number)}).Peer(t)
	})
	if bare < grown {
		t.Errorf("%d templates more cost the bare SDK %.0f allocations: look whether the answer to it is still needed", many-few, bare)
	}
	here, code := cost(func(number int) *httpx.Peer {
		p := site.New(t, site.Plan{Tools: templates(number)}).Peer(t, "alice")
		p.As("reader").Send(t, "resources/read", map[string]any{"name": "none://a", "uri": "none://a"}) // the one that learns them
		return p
	})
	t.Logf("%d templates more cost a read %.0f allocations on the bare SDK (%d) and %.0f here (%d)", many-few, bare, was, here, code)
	if here >= grown || code != was {
		t.Errorf("%d templates more cost a read %.0f allocations (%d)", many-few, here, code)
	}
}

// dropped reports whether a notification was accepted, and its handler never ran. The
// session has ended when the POST returns, and with it what may still come.
func dropped(t *testing.T, post func(n int) int, ran *atomic.Int64) bool {
	t.Helper()
	for n := range 3000 {
		if code := post(n); code != http.StatusAccepted {
			t.Fatalf("answered %d", code)
		}
		if ran.Load() != int64(n+1) {
			t.Logf("notification %d", n+1)
			return true
		}
	}
	return false
}

// Edge 48: what is answered with 202 is handled.
func TestEdgeStatelessNotificationsDropped(t *testing.T) {
	t.Parallel()
	count := func(ran *atomic.Int64) *mcp.ServerOptions {
		return &mcp.ServerOptions{ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationServerRequest) { ran.Add(1) }}
	}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		var ran atomic.Int64
		s := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, count(&ran))
		h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: true})
		if !dropped(t, func(int) int { return posted(t.Context(), h, "/mcp", progress) }, &ran) {
			t.Error("no notification was dropped")
		}
	})
	t.Run("here", func(t *testing.T) {
		t.Parallel()
		var ran atomic.Int64
		s := site.New(t, site.Plan{Options: count(&ran), Change: unnamed})
		h := s.Listener.Handler()
		if dropped(t, func(int) int {
			r := unwired(t.Context(), http.MethodPost, "/mcp", progress)
			r.Header.Set("Mcp-Protocol-Version", httpx.Sessionless)
			r.Header.Set("Mcp-Method", "notifications/progress")
			var w coded
			h.ServeHTTP(&w, r)
			return w.code
		}, &ran) {
			t.Error("a notification was accepted and dropped")
		}
	})
}

type coded struct{ code int }

func (*coded) Header() http.Header         { return make(http.Header) }
func (c *coded) WriteHeader(code int)      { c.code = code }
func (*coded) Write(b []byte) (int, error) { return len(b), nil }
