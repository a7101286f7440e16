package mcpsec_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A committer is a control that notes in which order it is asked.
type committer struct {
	name        string
	stage       mcpsec.Stage
	asked       *[]string
	seal, fault error
	strict      bool
	early       **mcpsec.Tool // what Running says before the handler runs
}

func (c committer) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: c.name, Stage: c.stage, Strict: c.strict}
}

func (c committer) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if c.early != nil && call.Method == "tools/call" {
			*c.early = mcpsec.Running(ctx)
		}
		return next(ctx, call)
	}
}

func (c committer) Seal(context.Context, *mcpsec.Inventory) error {
	*c.asked = append(*c.asked, "seal "+c.name)
	return c.seal
}

func (c committer) Commit(context.Context) error {
	*c.asked = append(*c.asked, "commit "+c.name)
	return c.fault
}

// Nothing is remembered of a start that fails, and a start that cannot be remembered fails.
func TestCommit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		seal, fault error
		want        string
	}{
		"all agree":        {nil, nil, "seal one,seal two,commit one,commit two"},
		"the last objects": {errors.New("no"), nil, "seal one,seal two"},
		"it cannot":        {nil, errors.New("no"), "seal one,seal two,commit one,commit two"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			guard, err := mcpsec.New(
				committer{name: "two", stage: mcpsec.StageCreds, asked: &asked, seal: test.seal, fault: test.fault},
				mcpsec.At(mcpsec.StageAudit, "one", committer{name: "one", stage: mcpsec.StageAudit, asked: &asked}),
			)
			if err != nil {
				t.Fatal(err)
			}
			server := mcp.NewServer(&mcp.Implementation{Name: "s"}, nil)
			err = guard.Install(server)
			if failed := test.seal != nil || test.fault != nil; failed != (err != nil) || failed == (guard.InForce(server) == nil) {
				t.Errorf("installed: %v, in force: %v", err, guard.InForce(server))
			}
			if got := strings.Join(asked, ","); got != test.want {
				t.Errorf("asked %s, want %s", got, test.want)
			}
		})
	}
}

func TestStrictControlOnlyEnforces(t *testing.T) {
	t.Parallel()
	c := committer{name: "c", stage: mcpsec.StageCreds, strict: true}
	for _, lenient := range []mcpsec.Control{mcpsec.InMode(mcpsec.Observe, c), mcpsec.FailOpen(c)} {
		if _, err := mcpsec.New(lenient); err == nil || !strings.Contains(err.Error(), "only enforces") {
			t.Errorf("accepted: %v", err)
		}
	}
	if _, err := mcpsec.New(mcpsec.InMode(mcpsec.Enforce, c)); err != nil {
		t.Error(err)
	}
}

// Running names the innermost handler, and none before the controls have agreed.
func TestRunning(t *testing.T) {
	t.Parallel()
	early := &mcpsec.Tool{}
	var asked []string
	guard, err := mcpsec.New(committer{name: "c", stage: mcpsec.StageAudit, asked: &asked, early: &early})
	if err != nil {
		t.Fatal(err)
	}
	var ran []string
	note := func(ctx context.Context) {
		if tool := mcpsec.Running(ctx); tool != nil {
			ran = append(ran, tool.Name)
		}
	}
	inner, err := mcpsec.Wrap(guard, "inner", func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		note(ctx)
		return &mcp.CallToolResult{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	outer, err := mcpsec.Wrap(guard, "outer", func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		note(ctx)
		params := *req.Params
		params.Name = "inner"
		res, err := inner(ctx, &mcp.CallToolRequest{Session: req.Session, Params: &params})
		note(ctx)
		return res, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outer(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "outer"}}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ran, ","); got != "outer,inner,outer" || early != nil {
		t.Errorf("ran %s, and before that %v", got, early)
	}
	if tool := mcpsec.Running(t.Context()); tool != nil {
		t.Errorf("nothing runs, and it is %v", tool)
	}
}

// What is registered after the sealing shows in Offered, and not in the call's own tool.
func TestOfferedNow(t *testing.T) {
	t.Parallel()
	var now *mcpsec.Inventory
	guard, err := mcpsec.New(mcpsec.At(mcpsec.StageAttest, "look", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (_ mcp.Result, err error) {
			if call.Method == "tools/call" {
				if now, err = call.Offered(ctx); err != nil {
					return nil, err
				}
			}
			return next(ctx, call)
		}
	})))
	if err != nil {
		t.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "s"}, nil)
	add := func(description string) {
		mcp.AddTool(server, &mcp.Tool{Name: "read", Description: description}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{}, nil, nil
		})
	}
	add("reviewed")
	if err := guard.Install(server); err != nil {
		t.Fatal(err)
	}
	near, far := mcp.NewInMemoryTransports()
	ss, err := server.Connect(t.Context(), guard.Transport(far, mcpsec.Peer{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "c"}, nil).Connect(t.Context(), near, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = cs.Close(), ss.Wait() }()
	for _, want := range []string{"reviewed", "another"} {
		if want != "reviewed" {
			add(want)
		}
		if _, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "read"}); err != nil {
			t.Fatal(err)
		}
		if len(now.Tools) != 1 || now.Tools[0].Definition.Description != want {
			t.Errorf("offered %+v, want %s", now.Tools, want)
		}
	}
	if _, err := (&mcpsec.Call{}).Offered(t.Context()); err == nil {
		t.Error("a call that no guard made has an offer")
	}
}
