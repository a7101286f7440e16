package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A tool whose next answer can be set.
type fickle struct {
	answer func(ctx context.Context) (*mcp.CallToolResult, error)
	runs   atomic.Int32
}

func (f *fickle) handle(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	f.runs.Add(1)
	return f.answer(ctx)
}

func works(context.Context) (*mcp.CallToolResult, error) { return &mcp.CallToolResult{}, nil }

func fails(context.Context) (*mcp.CallToolResult, error) { return nil, errors.New("upstream is down") }

func complains(context.Context) (*mcp.CallToolResult, error) {
	return &mcp.CallToolResult{IsError: true}, nil
}

// A bench is a guard around fickle tools; call reports the code of a refusal.
type bench struct {
	t *testing.T
	g *mcpsec.Guard
}

func newBench(t *testing.T, timeout time.Duration, opts ...Option) bench {
	t.Helper()
	opts = append(opts, WithoutPrincipalRate())
	g, err := mcpsec.New(mcpsec.Settings{CallTimeout: timeout}, New(opts...))
	if err != nil {
		t.Fatal(err)
	}
	return bench{t, g}
}

func (b bench) tool(name string, f *fickle) (call func(ctx context.Context) string) {
	b.t.Helper()
	h, err := mcpsec.Wrap(b.g, name, f.handle)
	if err != nil {
		b.t.Fatal(err)
	}
	return func(ctx context.Context) string {
		res, err := h(ctx, &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: name}})
		switch wire, ok := errors.AsType[*jsonrpc.Error](err); {
		case err == nil && res.IsError:
			return "isError"
		case err == nil:
			return "ok"
		case ok && wire.Code == mcpsec.CodeThrottled:
			return "refused"
		}
		return "error"
	}
}

// passTime lets time go on inside a synctest bubble.
func passTime(d time.Duration) { <-time.After(d) }

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}

func TestBreakerOpensHalfOpensAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fickle{answer: fails}
		call := newBench(t, 0).tool("tool", f)
		ctx := t.Context()
		for range DefaultFailures {
			want(t, "failing call", call(ctx), "error")
		}
		want(t, "after five failures", call(ctx), "refused")
		passTime(DefaultOpenFor)
		want(t, "1 ns too early", call(ctx), "refused")
		passTime(1)
		want(t, "first trial", call(ctx), "error")
		want(t, "after a failed trial", call(ctx), "refused")
		passTime(DefaultOpenFor + 1)
		f.answer = works
		want(t, "second trial", call(ctx), "ok")
		want(t, "closed again", call(ctx), "ok")
		if f.runs.Load() != DefaultFailures+3 {
			t.Errorf("the tool ran %d times", f.runs.Load())
		}
	})
}

func TestOpenBreakerSaysExactlyHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakers(Trip{Failures: 1, OpenFor: time.Minute})
		h := b.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, errors.New("down") })
		_, _ = h(t.Context(), toolCall("a", "x"))
		passTime(20 * time.Second)
		_, d := pass(t, h, toolCall("a", "x"), "ratelimit.breaker_open")
		if d.RetryAfter != 40*time.Second+1 {
			t.Errorf("RetryAfter is %v", d.RetryAfter)
		}
		passTime(d.RetryAfter)
		_, err := h(t.Context(), toolCall("a", "x"))
		if mcpsec.AsDenial(err) != nil {
			t.Errorf("refused after the wait: %v", err)
		}
	})
}

func TestCallerIsToldToWaitShortlyForTrialAndFullyAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakers(Trip{Failures: 1, OpenFor: time.Minute})
		release := make(chan struct{})
		answer := func() error { return errors.New("down") }
		h := b.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, answer() })
		_, _ = h(t.Context(), toolCall("a", "x"))
		passTime(time.Minute + 1)
		answer = func() error { <-release; return nil }
		go func() { _, _ = h(t.Context(), toolCall("a", "x")) }()
		synctest.Wait()
		if _, d := pass(t, h, toolCall("a", "x"), "ratelimit.breaker_open"); d.RetryAfter != trialHint {
			t.Errorf("during the trial RetryAfter is %v", d.RetryAfter)
		}
		passTime(trialLease + 1)
		if _, d := pass(t, h, toolCall("a", "x"), "ratelimit.breaker_open"); d.RetryAfter != time.Minute+1 {
			t.Errorf("after a trial that hangs RetryAfter is %v", d.RetryAfter)
		}
		close(release)
	})
}

func TestSuccessBetweenFailuresKeepsBreakerClosed(t *testing.T) {
	f := &fickle{}
	call := newBench(t, 0).tool("tool", f)
	for i := range 10 * DefaultFailures {
		f.answer = fails
		if i%DefaultFailures == 0 {
			f.answer = works
		}
		if got := call(t.Context()); got == "refused" {
			t.Fatalf("call %d was refused", i)
		}
	}
}

func TestBreakerOfOneToolLeavesOthersAlone(t *testing.T) {
	b := newBench(t, 0)
	bad, good := b.tool("bad", &fickle{answer: fails}), b.tool("good", &fickle{answer: works})
	for range DefaultFailures {
		bad(t.Context())
	}
	want(t, "bad tool", bad(t.Context()), "refused")
	want(t, "good tool", good(t.Context()), "ok")
}

func TestWhatCallersCanBringAboutDoesNotOpenBreaker(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	answer := func(err error) func(context.Context) (*mcp.CallToolResult, error) {
		return func(context.Context) (*mcp.CallToolResult, error) { return nil, err }
	}
	tests := map[string]struct {
		ctx    context.Context
		answer func(context.Context) (*mcp.CallToolResult, error)
		trip   Trip
	}{
		"bad arguments, typed handler": {t.Context(), complains, Trip{}},
		"bad arguments, raw handler":   {t.Context(), answer(&jsonrpc.Error{Code: jsonrpc.CodeInvalidParams}), Trip{}},
		"bad arguments, refused":       {t.Context(), answer(&mcpsec.Denial{Code: "x", Kind: mcpsec.BadArguments}), Trip{}},
		"refusal, wrapped":             {t.Context(), answer(fmt.Errorf("no: %w", &mcpsec.Denial{Code: "x"})), Trip{}},
		"cancelled":                    {t.Context(), answer(fmt.Errorf("reading: %w", context.Canceled)), Trip{}},
		"cancelled, other error":       {cancelled, fails, Trip{}},
		"cancelled, isError":           {cancelled, complains, Trip{}},
		"cancelled, isError counted":   {cancelled, complains, Trip{CountToolErrors: true}},
		"needs a login":                {t.Context(), answer(&jsonrpc.Error{Code: mcp.CodeURLElicitationRequired}), Trip{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			call := newBench(t, 0, Breaker(test.trip)).tool("tool", &fickle{answer: test.answer})
			for range 10 * DefaultFailures {
				if got := call(test.ctx); got == "refused" {
					t.Fatal("the breaker opened")
				}
			}
		})
	}
}

func TestBadArgumentsNeitherCloseBreakerNorUseUpTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fickle{answer: fails}
		call := newBench(t, 0).tool("tool", f)
		for i := range DefaultFailures {
			f.answer = complains // between two failures
			want(t, "bad arguments", call(t.Context()), "isError")
			f.answer = fails
			want(t, fmt.Sprint("failure ", i), call(t.Context()), "error")
		}
		want(t, "after five failures", call(t.Context()), "refused")
		passTime(DefaultOpenFor + 1)
		f.answer = complains
		for range 10 {
			want(t, "bad arguments as trial", call(t.Context()), "isError")
		}
		f.answer = fails
		want(t, "failing trial", call(t.Context()), "error")
		want(t, "open again", call(t.Context()), "refused")
	})
}

func TestFaultsOfToolOpenBreaker(t *testing.T) {
	tests := map[string]struct {
		trip   Trip
		answer func(context.Context) (*mcp.CallToolResult, error)
	}{
		"panic": {Trip{}, func(context.Context) (*mcp.CallToolResult, error) { panic("boom") }},
		"deadline": {Trip{}, func(ctx context.Context) (*mcp.CallToolResult, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		"deadline, typed handler": {Trip{}, func(ctx context.Context) (*mcp.CallToolResult, error) {
			<-ctx.Done()
			return complains(ctx)
		}},
		"tool errors, if asked for": {Trip{CountToolErrors: true}, complains},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				call := newBench(t, time.Second, Breaker(test.trip)).tool("tool", &fickle{answer: test.answer})
				for range DefaultFailures {
					if got := call(t.Context()); got == "refused" {
						t.Fatal("opened too early")
					}
				}
				want(t, "after five failures", call(t.Context()), "refused")
			})
		})
	}
}

func TestPanicOpensBreakerWithoutGuardToo(t *testing.T) {
	h := newBreakers(Trip{}).Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { panic("boom") })
	for range DefaultFailures {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = h(t.Context(), toolCall("a", "x"))
		}()
	}
	if ok, _ := pass(t, h, toolCall("a", "x"), "ratelimit.breaker_open"); ok {
		t.Error("the breaker is closed")
	}
}

func TestHangingTrialDoesNotKeepToolOutOfServiceForEver(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"with deadline": 10 * time.Second, "without": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				f := &fickle{answer: fails}
				call := newBench(t, timeout).tool("tool", f)
				for range DefaultFailures {
					call(t.Context())
				}
				passTime(DefaultOpenFor + 1)
				f.answer = func(context.Context) (*mcp.CallToolResult, error) {
					<-release // whatever its context says
					return nil, errors.New("too late")
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					call(t.Context())
				}()
				synctest.Wait()
				f.answer = works
				want(t, "while the trial runs", call(t.Context()), "refused")
				lease := timeout
				if lease < 0 {
					lease = trialLease
				}
				passTime(lease)
				want(t, "at its deadline", call(t.Context()), "refused")
				passTime(1)
				want(t, "the trial has failed, the breaker is open", call(t.Context()), "refused")
				passTime(DefaultOpenFor + 1)
				want(t, "the next trial", call(t.Context()), "ok")
				close(release)
				<-ended
				for range DefaultFailures - 1 { // the late failure does not count twice
					want(t, "after the late end", call(t.Context()), "ok")
				}
			})
		})
	}
}

func TestOnlyOneCallTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fickle{answer: fails}
		call := newBench(t, 0).tool("tool", f)
		for range DefaultFailures {
			call(t.Context())
		}
		passTime(DefaultOpenFor + 1)
		f.answer = func(context.Context) (*mcp.CallToolResult, error) {
			<-release
			return &mcp.CallToolResult{}, nil
		}
		results := make(chan string, 16)
		for range 16 {
			go func() { results <- call(t.Context()) }()
		}
		for range 15 {
			want(t, "beside the trial", <-results, "refused")
		}
		close(release)
		want(t, "the trial", <-results, "ok")
	})
}

func TestMadeUpToolNamesMakeNoBreakers(t *testing.T) {
	b := newBreakers(Trip{})
	h := b.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, errors.New("no") })
	for i := range 100 {
		_, _ = h(t.Context(), &mcpsec.Call{Method: "tools/call", Name: fmt.Sprint(i)})
	}
	question := toolCall("a", "x")
	question.Method, question.Outgoing = "sampling/createMessage", true
	_, _ = h(t.Context(), question)
	if len(b.byTool) != 0 {
		t.Errorf("there are %d breakers", len(b.byTool))
	}
}

func TestToolThatAsksForInputHasNotSucceededYet(t *testing.T) {
	res := &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{}}
	if got := (Trip{}).judge(t.Context(), res, nil); !errors.Is(got, errNeutral) {
		t.Errorf("judged %v", got)
	}
}
