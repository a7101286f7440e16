package ratelimit

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// connected is a client of a guarded server with one tool that asks for a sample, in
// its result or directly.
func connected(t *testing.T, direct bool, revision string, controls ...mcpsec.Control) *mcp.ClientSession {
	t.Helper()
	g, err := mcpsec.New(controls...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	s := mcp.NewServer(&mcp.Implementation{Name: "test"}, nil)
	ask := func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if direct {
			if _, err := req.Session.CreateMessage(ctx, &mcp.CreateMessageParams{MaxTokens: 100}); err != nil {
				return nil, err
			}
			return &mcp.CallToolResult{}, nil
		}
		if req.Params.InputResponses != nil {
			return &mcp.CallToolResult{}, nil
		}
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"q": &mcp.CreateMessageParams{MaxTokens: 100}}}, nil
	}
	h, err := mcpsec.Wrap(g, "ask", ask)
	if err != nil {
		t.Fatal(err)
	}
	s.AddTool(&mcp.Tool{Name: "ask", InputSchema: json.RawMessage(`{"type":"object"}`)}, h)
	if err := g.Install(s); err != nil {
		t.Fatal(err)
	}
	near, far := mcp.NewInMemoryTransports()
	ss, err := s.Connect(t.Context(), g.Transport(far, mcpsec.Peer{Process: "uid:1"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "client"}, &mcp.ClientOptions{
		CreateMessageHandler: func(context.Context, *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			return &mcp.CreateMessageResult{Content: &mcp.TextContent{Text: "ok"}, Model: "m", Role: "assistant"}, nil
		},
	})
	cs, err := client.Connect(t.Context(), near, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cs.Close()
		_ = ss.Wait()
	})
	return cs
}

const (
	newRevision = "2026-07-28" // clients answer questions by calling again
	oldRevision = "2025-11-25" // clients are asked directly; the SDK runs the handler again
)

// Each run of the handler has its price, whether the client calls again or the SDK
// runs the handler twice.
func TestEveryRunOfHandlerIsPaidFor(t *testing.T) {
	t.Parallel()
	for revision, want := range map[string]string{newRevision: "$0.1 of $0.1 reserved", oldRevision: "$0.2 of $0.1 reserved"} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			var note string
			l := New(Budget("$1/day"), Price("ask", "$0.1"))
			cs := connected(t, false, revision, l, noting(&note))
			if _, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "ask"}); err != nil {
				t.Fatal(err)
			}
			if note != want {
				t.Errorf("noted %q, want %q", note, want)
			}
			for _, part := range l.parts {
				b, ok := part.(*budgets)
				if !ok {
					continue
				}
				for _, a := range b.ledger.accounts {
					if a.level() != 200_000 {
						t.Errorf("two runs at $0.1 have cost %v", Amount{USD, a.level()})
					}
				}
			}
		})
	}
}

// Through a real server and client: what the handler asks of the client's model is
// paid for, however the question travels, and one that is too dear is not asked.
func TestSamplingThroughServerIsCharged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		direct   bool
		revision string
	}{
		"in a result": {false, newRevision}, "directly": {true, oldRevision}, "in a result, sent directly": {false, oldRevision},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := func(price string) error {
				cs := connected(t, test.direct, test.revision, New(Budget("$1/day"), PriceSampling(price)))
				res, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "ask"})
				if err == nil && res.IsError {
					t.Fatalf("a tool error: %+v", res)
				}
				return err
			}
			if err := call("$0.5"); err != nil {
				t.Errorf("within the budget: %v %s", err, dataOf(err))
			}
			if err := call("$2"); err == nil || !strings.Contains(err.Error()+dataOf(err), "budget") {
				t.Errorf("over the budget: %v %s", err, dataOf(err))
			}
		})
	}
}

// A principal that is frozen while its call waits for answers gets no second round.
func TestFreezeStopsCallsThatComeBackWithAnswers(t *testing.T) {
	t.Parallel()
	l := New()
	var rounds []string
	freeze := mcpsec.At(mcpsec.StageInspect, "freeze", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			res, err := next(ctx, call)
			if call.Method == methodCallTool {
				rounds = append(rounds, call.Method)
				if err := l.Switch().Freeze(Everything(), "between two rounds"); err != nil {
					t.Error(err)
				}
			}
			return res, err
		}
	}))
	cs := connected(t, false, newRevision, l, freeze)
	_, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "ask"})
	if err == nil || !strings.Contains(dataOf(err), "ratelimit.frozen") || len(rounds) != 1 {
		t.Errorf("after %d rounds: %v %s", len(rounds), err, dataOf(err))
	}
}

// The record tells which call was let through to try a tool again.
func TestTrialIsNoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		noted := ""
		record := mcpsec.At(mcpsec.StageAudit, "notes", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
			return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
				res, err := next(ctx, call)
				noted = ""
				for _, n := range call.Notes() {
					if n.Key == noteBreaker {
						noted = n.Value
					}
				}
				return res, err
			}
		}))
		g, err := mcpsec.New(record, New(WithoutPrincipalRate(), Breaker(Trip{Failures: 1})))
		if err != nil {
			t.Fatal(err)
		}
		f := &fickle{answer: fails}
		call := bench{t, g}.tool("x", f)
		for range 2 {
			call(t.Context())
			if noted != "" {
				t.Errorf("a call that is no trial has the note %q", noted)
			}
		}
		passTime(DefaultOpenFor + 1)
		f.answer = works
		want(t, "trial", call(t.Context()), "ok")
		if !strings.HasPrefix(noted, "half-open") {
			t.Errorf("the trial has the note %q", noted)
		}
	})
}

// A key function that panics must not open the gate.
func TestExpressionThatPanicsRefuses(t *testing.T) {
	t.Parallel()
	boom := By("boom", func(*mcpsec.Call) string { panic("boom") })
	g, err := mcpsec.New(New(PerKey(boom, 100, time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	h, err := mcpsec.Wrap(g, "x", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		t.Error("the call passed")
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "x"}}); err == nil {
		t.Error("no error")
	}
}

// If the disk is full at the worst moment, what was frozen stays frozen in this
// process, and Freeze says that it will not last.
func TestFreezeHoldsEvenIfItCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, h, c := server(t, dir)
	lock := filepath.Join(dir, lockFile)
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(lock, 0o700); err != nil { // nobody, not even root, can lock
		t.Fatal(err)
	}
	if err := l.Switch().Freeze(ToolNamed("x"), ""); err == nil {
		t.Error("Freeze says that it lasts")
	}
	for range 3 {
		c.move(lookEvery)
		if !frozenFor(t, h, toolCall("a", "x")) || frozenFor(t, h, toolCall("a", "y")) {
			t.Error("the next look at the file thawed it")
		}
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := l.Switch().Freeze(ToolNamed("y"), ""); err != nil {
		t.Fatal(err)
	}
	other, err := OpenSwitch(dir)
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := other.Frozen(); len(list) != 2 { // written now
		t.Errorf("got %+v", list)
	}
	if err := other.Thaw(ToolNamed("x")); err != nil {
		t.Fatal(err)
	}
	c.move(lookEvery)
	if frozenFor(t, h, toolCall("a", "x")) {
		t.Error("thawed, and still frozen")
	}
}
