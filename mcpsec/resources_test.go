package mcpsec_test

import (
	"context"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func echo(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "here"}}}, nil
}

// readURIs are asked for after each of readSteps.
var readURIs = []string{
	"file:///a", "file:///a/", "file:///b/c", "file:///b/c/d", "FILE:///b/c", "file:///b/c\n", "db://x?q=1", "db://x", "db://y", "none://", "", "%zz", "{", "plain",
	"file:///b/" + strings.Repeat("x", 5000), "bad://{x",
}

var readSteps = []func(s *mcp.Server){
	func(*mcp.Server) {},
	func(s *mcp.Server) { s.AddResource(&mcp.Resource{URI: "file:///a", Name: "a"}, echo) },
	func(s *mcp.Server) {
		s.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "file:///b/{name}", Name: "b"}, echo)
	},
	func(s *mcp.Server) { s.AddResource(&mcp.Resource{URI: "db://y", Name: "y"}, echo) },
	func(s *mcp.Server) {
		s.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "db://x{?q}", Name: "x"}, echo)
	},
	func(s *mcp.Server) { s.RemoveResourceTemplates("file:///b/{name}"); s.RemoveResources("file:///a") },
	func(s *mcp.Server) {
		s.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "{+rest}", Name: "all"}, echo)
	},
	func(s *mcp.Server) { s.RemoveResourceTemplates("{+rest}", "db://x{?q}"); s.RemoveResources("db://y") },
}

// The guard knows what a server can be asked to read as well as the server does, whatever
// came and went since it was last looked at.
func TestReadsOfWhatNothingProduces(t *testing.T) {
	t.Parallel()
	answers := func(r *rig) (got [][]string) {
		r.start(nil)
		for _, step := range readSteps {
			step(r.server)
			var of []string
			for _, uri := range readURIs {
				res, err := r.client.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
				switch {
				case err != nil:
					of = append(of, err.Error())
				default:
					of = append(of, res.Contents[0].Text)
				}
			}
			got = append(got, of)
		}
		return got
	}
	want, got := answers(bare(t, nil)), answers(guarded(t, nil))
	for i := range readSteps {
		for j, uri := range readURIs {
			if got[i][j] != want[i][j] && uri != "file:///b/c\n" { // a control character is refused, edge 14
				t.Errorf("step %d, %.40q: %q, bare %q", i, uri, got[i][j], want[i][j])
			}
		}
	}
}

// A subscription is for what can be read now, no more and no less: the SDK remembers any URI.
func TestSubscriptionsToWhatNobodyCanRead(t *testing.T) {
	t.Parallel()
	r := guarded(t, nil)
	r.server = mcp.NewServer(implementation, &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	r.old(nil)
	for i, step := range readSteps {
		step(r.server)
		for _, uri := range readURIs {
			subscribed := r.client.Subscribe(t.Context(), &mcp.SubscribeParams{URI: uri}) // before a read has the guard look
			_, read := r.client.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
			if (subscribed == nil) != (read == nil) {
				t.Errorf("step %d, %.40q: subscribed: %v, read: %v", i, uri, subscribed, read)
			}
		}
	}
}
