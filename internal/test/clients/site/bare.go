package site

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Bare is what the SDK offers by itself, behind crypto/tls: a router over its handlers at
// /mcp, and HTTP+SSE at /sse. It asks nobody who they are.
type Bare struct {
	URL string
	MCP *mcp.Server
	Web *http.Server

	authority *testpki.Authority
}

// NewBare starts one. It ends with the test. With around, that stands before every handler.
func NewBare(tb testing.TB, p Plan, around ...func(http.Handler) http.Handler) *Bare {
	tb.Helper()
	b := &Bare{MCP: mcp.NewServer(&mcp.Implementation{Name: "site", Version: "1"}, p.Options), authority: newAuthority(tb)}
	mcp.AddTool(b.MCP, &mcp.Tool{Name: "echo"}, Echo)
	if p.Tools != nil {
		p.Tools(nil, b.MCP)
	}
	get := func(*http.Request) *mcp.Server { return b.MCP }
	sessions := mcp.NewStreamableHTTPHandler(get, nil)
	stateless := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{Stateless: true})
	mux := http.NewServeMux()
	mux.Handle("/sse", mcp.NewSSEHandler(get, nil))
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Protocol-Version") >= httpx.Sessionless {
			stateless.ServeHTTP(w, r)
			return
		}
		sessions.ServeHTTP(w, r)
	})
	h := http.Handler(mux)
	for _, wrap := range around {
		h = wrap(h)
	}
	web := httptest.NewUnstartedServer(h)
	web.EnableHTTP2 = true
	web.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*serverOf(tb, b.authority)}}
	web.StartTLS()
	b.URL, b.Web = web.URL, web.Config
	tb.Cleanup(func() {
		web.CloseClientConnections()
		for ss := range b.MCP.Sessions() {
			_ = ss.Close() // the test is over
		}
		web.Close()
	})
	return b
}

// Peer returns a client.
func (b *Bare) Peer(tb testing.TB) *httpx.Peer {
	tb.Helper()
	t := &http.Transport{TLSClientConfig: (&Site{roots: b.authority.Pool()}).trust(), ForceAttemptHTTP2: true}
	tb.Cleanup(t.CloseIdleConnections)
	return &httpx.Peer{URL: b.URL + "/mcp", HTTP: &http.Client{Transport: t}, Header: make(http.Header)}
}

// AddTool adds a tool in the guarded way, or without a guard in the bare one.
func AddTool[In, Out any](tb testing.TB, g *mcpsec.Guard, s *mcp.Server, tool *mcp.Tool, h mcp.ToolHandlerFor[In, Out]) {
	tb.Helper()
	if g == nil {
		mcp.AddTool(s, tool, h)
		return
	}
	must(tb, mcpsec.AddTool(g, s, tool, h))
}
