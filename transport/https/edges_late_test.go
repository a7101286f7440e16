package https_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// soon is how long is waited for what is held to take for ever.
const soon = 500 * time.Millisecond

// garage is a bare SDK with a place to park.
func garage(t *testing.T) (*site.Bare, *office) {
	t.Helper()
	o := &office{parked: make(map[string]*parking)}
	return site.NewBare(t, site.Plan{Tools: func(g *mcpsec.Guard, s *mcp.Server) {
		site.AddTool(t, g, s, &mcp.Tool{Name: "park"}, o.park)
	}}), o
}

var lateEdges = []edge{
	{number: 28, name: "listening subscribes unseen", both: "mcpsec.TestEdgeListenSubscribesUnseen"},
	{number: 29, name: "changes of lists reach everybody", both: "mcpsec.TestEdgeListChangedReachesEverybody"},
	{number: 30, name: "cursors tell what is hidden", both: "mcpsec.TestEdgeFilteredListsLeak"},
	{number: 31, name: "lists may be cached for all", both: "mcpsec.TestEdgeFilteredListsLeak"},
	{number: 32, name: "lists are the server's own", both: "mcpsec.TestEdgeListAliasesRegistry"},
	{number: 33, name: "shared results are written to", both: "mcpsec.TestEdgeSharedResultIsWrittenTo"},
	{number: 34, name: "a tool replaces another", both: "mcpsec.TestEdgeShadowing"},
	{number: 35, name: "names of tools are not judged", both: "mcpsec.TestEdgeToolNames"},
	{number: 36, name: "who leaves cancels nothing", both: "mcpsec.TestEdgeHTTPAbandonedCall"},
	{number: 37, name: "DELETE waits for calls", bare: func(v visit) bool {
		t := v.T
		b, o := garage(t)
		p := b.Peer(t).Open(t)
		leave := p.Abandon(t, "tools/call", map[string]any{"name": "park", "arguments": map[string]any{"text": "a"}})
		defer leave()
		await(t, o.parking("a").begun, "the call")
		defer close(o.parking("a").leave)
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodDelete, p.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = p.Header.Clone()
		res, err := p.HTTP.Do(r)
		if err == nil {
			_ = res.Body.Close()
		}
		return err != nil
	}, here: func(v visit) bool {
		t, o := v.T, v.office
		p := o.Peer(t, "alice").Open(t)
		leave := p.Abandon(t, "tools/call", map[string]any{"name": "park", "arguments": map[string]any{"text": "deleted"}})
		defer leave()
		await(t, o.parking("deleted").begun, "the call")
		if s := request(t, p, http.MethodDelete, p.URL); s.Status >= 300 {
			t.Errorf("DELETE: %d", s.Status)
		}
		await(t, o.parking("deleted").cancelled, "the end of the call")
		return false
	}},
	{number: 38, name: "who does not read blocks the end", bare: func(v visit) bool {
		for range 3 { // it may end before anything is written
			if blocksTheEnd(v.T) {
				return true
			}
		}
		return false
	}, absent: "transport/https.TestSlowReader"},
	{number: 39, name: "open streams block the shutdown", bare: func(v visit) bool {
		t := v.T
		b := site.NewBare(t, site.Plan{})
		if _, err := site.OpenSSE(t, b.Peer(t), b.URL); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		return b.Web.Shutdown(ctx) != nil
	}, here: func(v visit) bool {
		t := v.T
		s := only(t, nil)
		if _, err := site.OpenSSE(t, s.Peer(t, "alice"), s.URL); err != nil {
			t.Fatal(err)
		}
		since := httpx.NewStopwatch(t)
		s.Stop(t)
		return since.Lived() > 15*time.Second
	}},
	{number: 40, name: "sessions stay for ever", bare: func(v visit) bool {
		t := v.T
		p := site.NewBare(t, site.Plan{}).Peer(t).Open(t)
		<-time.After(soon)
		return p.CallTool(t, "echo", nil).Status == http.StatusOK
	}, absent: "transport/https.TestIdleSessionEnds"},
	{number: 41, name: "sessions without number", bare: func(v visit) bool { return openable(v.T, site.NewBare(v.T, site.Plan{}).Peer(v.T)) },
		here: func(v visit) bool {
			t := v.T
			s := only(t, func(c *https.Config) { c.Limits.SessionsPer = 3 })
			return openable(t, s.Peer(t, "alice"))
		}},
	{number: 42, name: "a write timeout ends streams", bare: func(v visit) bool { return timedOut(v.T) },
		here: func(v visit) bool { return shortLived(v.T) }, absent: "transport/https.TestSlowReader"},
	{number: 43, name: "HTTP+SSE takes no methods of one's own", bare: func(v visit) bool {
		t := v.T
		b := site.NewBare(t, site.Plan{Tools: custom(t)})
		return customSSE(t, b.Peer(t), b.URL) == http.StatusBadRequest
	}, here: func(v visit) bool {
		t := v.T
		s := site.New(t, site.Plan{Tools: custom(t)})
		return customSSE(t, s.Peer(t, "alice"), s.URL) == http.StatusBadRequest
	}},
	{number: 44, name: "HTTP+SSE posts block", bare: func(v visit) bool { return blocked(v.T) },
		here: func(v visit) bool { return unrefused(v.T) }, absent: "transport/https.TestNotificationsDoNotPileUp"},
	{number: 45, name: "HTTP+SSE sessions are there before they are ready", bare: func(v visit) bool { return halfThere(v.T) },
		here: func(v visit) bool { return unready(v.T) }},
	{number: 46, name: "templates of resources are compiled for each read", both: "transport/https.TestEdgeTemplatesCompiledForEachRead"},
	{number: 47, name: "states of requests are taken on trust", both: "mcpsec.TestEdgeForgedApproval"},
	{number: 48, name: "stateless notifications may be dropped", both: "transport/https.TestEdgeStatelessNotificationsDropped"},
	{number: 49, name: "events are stored for all together", bare: func(v visit) bool { return pushedOut(v.T) }, here: stored},
	{number: 50, name: "an environment variable changes what is checked", both: "mcpsec.TestEdgeMCPGODEBUG"},
	{number: 51, name: "anybody sets the level of logs unseen", bare: func(v visit) bool {
		t := v.T
		return site.NewBare(t, site.Plan{}).Peer(t).Open(t).Send(t, "logging/setLevel", map[string]any{"level": "debug"}).Status == http.StatusOK
	}, here: func(v visit) bool {
		t, o := v.T, v.office
		ok(t, o.Peer(t, "leveller").Open(t).Send(t, "logging/setLevel", map[string]any{"level": "debug"}))
		for _, c := range o.Record.Await(t, "logging/setLevel", 1) {
			if c.Principal.Subject == "leveller" {
				return false // the controls saw it
			}
		}
		return true
	}},
	{number: 52, name: "proxies buffer streams", bare: func(v visit) bool {
		t := v.T
		b := site.NewBare(t, site.Plan{})
		return request(t, b.Peer(t), http.MethodGet, b.URL+"/sse").Header.Get("X-Accel-Buffering") == ""
	}, here: func(v visit) bool {
		t, o := v.T, v.office
		return request(t, o.Peer(t, "alice"), http.MethodGet, o.URL+"/sse").Header.Get("X-Accel-Buffering") == ""
	}},
	{number: 53, name: "a server for 2026 alone serves the past", bare: func(v visit) bool {
		t := v.T
		s := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{SupportedProtocolVersions: []string{httpx.Sessionless}})
		mcp.AddTool(s, &mcp.Tool{Name: "echo"}, site.Echo)
		h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: true})
		return httpx.Serve(t, s, h).Post(t, echoed).Status == http.StatusOK
	}, here: func(v visit) bool {
		t := v.T
		s := only(t, func(c *https.Config) { c.Legacy, c.SSE = false, false })
		return s.Peer(t, "alice").Post(t, echoed).Status == http.StatusOK
	}},
}

// openable reports whether one caller may open ten sessions.
func openable(t *testing.T, p *httpx.Peer) bool {
	t.Helper()
	for range 10 {
		a := p.Post(t, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
		if a.Status != http.StatusOK {
			return false
		}
	}
	return true
}

// ownParams are the parameters of a method that MCP does not have.
type ownParams struct {
	mcp.ParamsBase
}

type ownResult struct {
	mcp.ResultBase
}

func custom(t *testing.T) func(*mcpsec.Guard, *mcp.Server) {
	t.Helper()
	return func(_ *mcpsec.Guard, s *mcp.Server) {
		err := mcp.AddReceivingCustomMethod(s, "acme/own", func(context.Context, *mcp.ServerSession, *ownParams) (*ownResult, error) {
			return &ownResult{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func customSSE(t *testing.T, p *httpx.Peer, origin string) int {
	t.Helper()
	sse, err := site.OpenSSE(t, p, origin)
	if err != nil {
		t.Fatal(err)
	}
	return sse.Messages.Post(t, `{"jsonrpc":"2.0","id":3,"method":"acme/own","params":{}}`).Status
}

// blocksTheEnd reports whether a session of the bare SDK whose client does not read can be
// closed.
func blocksTheEnd(t *testing.T) bool {
	t.Helper()
	b := site.NewBare(t, site.Plan{})
	p := b.Peer(t)
	sse, err := site.OpenSSE(t, p, b.URL)
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 3<<20)
	for n := range 12 { // nobody reads the answers
		sse.Messages.Post(t, `{"jsonrpc":"2.0","id":`+strconv.Itoa(n)+`,"method":"tools/call","params":{"name":"echo","arguments":{"text":"`+large+`"}}}`)
	}
	for session := range b.MCP.Sessions() {
		closed := make(chan struct{})
		go func() { defer close(closed); _ = session.Close() }()
		select {
		case <-closed:
		case <-time.After(soon):
			sse.Close()
			<-closed
			return true
		}
	}
	return false
}
