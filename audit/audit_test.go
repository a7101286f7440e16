package audit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// ticking is a clock that moves on by a millisecond whenever it is read.
func ticking() func() time.Time {
	now := time.Date(2026, 7, 28, 12, 0, 0, 0, time.FixedZone("", 7200))
	return func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	}
}

func TestRecordOfAnAllowedCall(t *testing.T) {
	var m memory
	l := New(To(&m))
	l.now = ticking()
	// The logger sees a call with every field; the guard goes on with its own.
	recording := mcpsec.At(mcpsec.StageAudit, "audit", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			c := *call
			c.Parent, c.Round, c.Session, c.Client = "p", 2, "s", "claude"
			c.Principal = mcpsec.Principal{
				Rung: mcpsec.Token, Issuer: "https://idp", Subject: "alice", Client: "app", Tenant: "t1", Actors: []string{"agent", "desk"},
			}
			c.Tool = &mcpsec.Tool{Name: "tool", Digest: "sha256:ab", Version: "1.2.0"}
			own := func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) { return next(ctx, call) }
			return l.Wrap(own)(ctx, &c)
		}
	}))
	noting := mcpsec.At(mcpsec.StageCreds, "creds", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			call.Note("creds.role", "reader")
			call.Note("creds.expires", "15m")
			return next(ctx, call)
		}
	}))
	if _, err := drive(t, ok, `{"b":1,"a":{"x":2}}`, recording, noting); err != nil {
		t.Fatal(err)
	}
	id := m.one(t).ID
	who := `"id":"` + id + `","parent":"p","round":2,"method":"tools/call","name":"tool",` +
		`"principal":{"rung":"token","issuer":"https://idp","subject":"alice","client":"app","tenant":"t1","actors":["agent","desk"]},` +
		`"untrusted":{"session":"sha256:043a718774c572bd","client":"claude"},"tool":{"digest":"sha256:ab","version":"1.2.0"},` +
		`"arguments":{"bytes":19,"keys":["a","b"]}`
	want := `{"time":"2026-07-28T10:00:00.002Z","event":"attempt",` + who + `,"decision":"allowed"}` + "\n" +
		`{"time":"2026-07-28T10:00:00.003Z","event":"outcome",` + who +
		`,"decision":"allowed","notes":{"creds.expires":"15m","creds.role":"reader"},"latency_us":2000,"is_error":false}`
	if m.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &m, want)
	}
}

func TestOutcomes(t *testing.T) {
	secret := errors.New("no such file: /home/alice/diary")
	tests := []struct {
		name     string
		handler  mcp.ToolHandler
		controls []mcpsec.Control
		want     record
		detail   string // substring
	}{
		{"allowed", ok, nil, record{Decision: "allowed"}, ""},
		{"handler says isError", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{IsError: true}, nil
		}, nil, record{Decision: "error", IsError: true}, ""},
		{"handler returns an error", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return nil, fmt.Errorf("reading: %w", secret)
		}, nil, record{Decision: "error"}, "error of type *fmt.wrapError"},
		{"handler returns a JSON-RPC error", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return nil, mcp.ResourceNotFoundError("file:///home/alice/diary")
		}, nil, record{Decision: "error"}, "JSON-RPC error -32602"},
		{"caller goes away", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return nil, fmt.Errorf("%w while reading /home/alice/diary", context.Canceled)
		}, nil, record{Decision: "error"}, "context canceled"},
		{"handler returns nothing", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return nil, nil
		}, nil, record{Decision: "error"}, "no answer"},
		{"handler panics", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			panic("the cat stepped on it")
		}, nil, record{Decision: "error", Code: "guard.handler_panic", Control: "guard"}, "the cat stepped on it"},
		{"control refuses", ok, []mcpsec.Control{refusing(mcpsec.Denial{Code: "test.no", Reason: "not today", Detail: "rule 7"})},
			record{Decision: "refused", Code: "test.no", Control: "test", Reason: "not today"}, "rule 7"},
		{"control panics", ok, []mcpsec.Control{mcpsec.At(mcpsec.StageAllow, "test", mcpsec.ControlFunc(func(mcpsec.Handler) mcpsec.Handler {
			return func(context.Context, *mcpsec.Call) (mcp.Result, error) { panic("bug") }
		}))}, record{Decision: "refused", Code: "guard.control_failed", Control: "test"}, "bug"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var m memory
			_, _ = drive(t, test.handler, `{}`, append(test.controls, New(To(&m)))...)
			got := m.one(t)
			if got.Decision != test.want.Decision || got.Code != test.want.Code || got.Control != test.want.Control ||
				got.Reason != test.want.Reason || got.IsError != test.want.IsError || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("got %s", &m)
			}
			if strings.Contains(m.String(), "diary") {
				t.Errorf("the text of a handler's error is recorded:\n%s", &m)
			}
		})
	}
}

func TestFindingsOfControlsThatDoNotEnforce(t *testing.T) {
	var m memory
	broken := mcpsec.FailOpen(mcpsec.At(mcpsec.StageAllow, "broken", mcpsec.ControlFunc(func(mcpsec.Handler) mcpsec.Handler {
		return func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, errors.New("store is down") }
	})))
	watching := mcpsec.InMode(mcpsec.Observe, refusing(mcpsec.Denial{Code: "test.no", Reason: "not today", Detail: "rule 7"}))
	if _, err := drive(t, ok, `{}`, New(To(&m)), watching, broken); err != nil {
		t.Fatal(err)
	}
	got := m.one(t)
	if got.Decision != "allowed" || got.Code != "" || len(got.Findings) != 2 {
		t.Fatalf("got %s", &m)
	}
	if f := got.Findings[0]; f.Control != "test" || f.Code != "test.no" || f.Reason != "not today" || f.Detail != "rule 7" || f.Failed {
		t.Errorf("observed refusal: %+v", f)
	}
	if f := got.Findings[1]; f.Control != "broken" || f.Code != "guard.control_failed" || !f.Failed || !strings.Contains(f.Detail, "store is down") {
		t.Errorf("failure that was let pass: %+v", f)
	}
}

// A handler that ends its goroutine leaves no answer; it does leave an outcome.
func TestGoexitInHandlerIsRecorded(t *testing.T) {
	var m memory
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = drive(t, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			runtime.Goexit()
			return nil, nil
		}, `{}`, New(To(&m)))
	}()
	<-done
	if got := m.one(t); got.Decision != "error" || !strings.Contains(got.Detail, "without an answer") {
		t.Errorf("got %s", &m)
	}
}
