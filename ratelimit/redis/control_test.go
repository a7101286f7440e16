package redis

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// guarded is a tool of one replica, behind a guard.
func guarded(t *testing.T, opts ...ratelimit.Option) func() error {
	t.Helper()
	g, err := mcpsec.New(ratelimit.New(opts...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	tool, err := mcpsec.Wrap(g, "search", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() error {
		_, err := tool(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "search"}})
		return err
	}
}

// code is that of a refusal.
func code(err error) string {
	wire, ok := errors.AsType[*jsonrpc.Error](err)
	if !ok {
		return ""
	}
	var data struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(wire.Data, &data)
	return data.Code
}

func TestReplicasHoldOneRateTogetherAndTheirShareDuringOutage(t *testing.T) {
	t.Parallel()
	srv := start(t)
	var replicas []func() error
	for range 2 {
		s := open(t, srv, Config{OpenFor: time.Hour})
		replicas = append(replicas, guarded(t, ratelimit.Shared(s),
			ratelimit.PerTool(8, 1000*time.Hour).OnOutage(ratelimit.LocalShare(2)), ratelimit.WithoutPrincipalRate(), ratelimit.WithoutBreaker()))
	}
	pass := func() (n int) {
		for range 10 {
			for _, call := range replicas {
				if err := call(); err == nil {
					n++
				} else if code(err) != "ratelimit.exceeded" {
					t.Fatal(err)
				}
			}
		}
		return n
	}
	if n := pass(); n != 8 {
		t.Errorf("%d calls passed, want 8", n)
	}
	srv.kill()
	// What the replicas were refused a moment ago is refused without asking.
	n := 0
	eventually(t, "both shares are used up", func() bool { n += pass(); return n >= 8 })
	if n += pass(); n != 8 {
		t.Errorf("%d calls passed during the outage, want two shares of 4", n)
	}
}

func TestReplicasHoldOneBudgetTogetherAndRefuseDuringOutage(t *testing.T) {
	t.Parallel()
	srv := start(t)
	var replicas []func() error
	for range 2 {
		s := open(t, srv, Config{OpenFor: time.Millisecond})
		replicas = append(replicas, guarded(t, ratelimit.Shared(s), ratelimit.Budget("$0.10/day"),
			ratelimit.Price("search", "$0.03"), ratelimit.WithoutPrincipalRate(), ratelimit.WithoutBreaker()))
	}
	passed := 0
	for range 5 {
		for _, call := range replicas {
			if err := call(); err == nil {
				passed++
			} else if !strings.Contains(code(err), "budget") {
				t.Fatal(code(err), err)
			}
		}
	}
	if passed != 3 {
		t.Errorf("%d calls at three cents passed, want 3 for ten", passed)
	}
	srv.kill()
	for _, call := range replicas {
		if err := call(); code(err) != "ratelimit.store_unavailable" {
			t.Errorf("during the outage: %v", err)
		}
	}
}
