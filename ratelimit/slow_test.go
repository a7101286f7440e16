package ratelimit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestSlowToolIsCutOffAndComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		took := time.Second
		f := &fickle{answer: func(context.Context) (*mcp.CallToolResult, error) {
			passTime(took)
			return &mcp.CallToolResult{}, nil
		}}
		call := newBench(t, 0, Breaker(Trip{Slow: 500 * time.Millisecond})).tool("tool", f)
		for range DefaultFailures {
			want(t, "slow call", call(t.Context()), "ok")
		}
		want(t, "after five slow calls", call(t.Context()), "refused")
		passTime(DefaultOpenFor + 1)
		want(t, "slow trial", call(t.Context()), "ok")
		want(t, "after a slow trial", call(t.Context()), "refused")
		passTime(DefaultOpenFor + 1)
		took = 100 * time.Millisecond
		want(t, "fast trial", call(t.Context()), "ok")
		want(t, "closed", call(t.Context()), "ok")
	})
}

// Calls that hang are judged while they hang: their number is what tells.
func TestHangingToolIsCutOffWhileItsCallsHang(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		timeout time.Duration
		trip    Trip
		after   time.Duration
	}{
		"slow limit":          {-1, Trip{Slow: 2 * time.Second}, 2 * time.Second},
		"deadline":            {3 * time.Second, Trip{}, 3 * time.Second},
		"slow before the end": {time.Minute, Trip{Slow: time.Second}, time.Second},
		"neither":             {-1, Trip{}, trialLease},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				f := &fickle{answer: func(context.Context) (*mcp.CallToolResult, error) {
					<-release // whatever its context says
					return &mcp.CallToolResult{}, nil
				}}
				call := newBench(t, test.timeout, Breaker(test.trip)).tool("tool", f)
				ends := make(chan string, DefaultFailures)
				for range DefaultFailures {
					go func() { ends <- call(t.Context()) }()
				}
				synctest.Wait()
				passTime(test.after + 1)
				want(t, "while five hang", call(t.Context()), "refused")
				close(release)
				for range DefaultFailures {
					<-ends
				}
				want(t, "although they succeeded in the end", call(t.Context()), "refused")
				passTime(DefaultOpenFor + 1)
				want(t, "trial", call(t.Context()), "ok")
			})
		})
	}
}

func TestShareOfFailuresInWindowOpensBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fickle{}
		call := newBench(t, 0, Breaker(Trip{Failures: 1000, Percent: 50, Window: 10 * time.Second, MinCalls: 10})).tool("tool", f)
		burst := func(good, bad int) {
			for i := range good + bad {
				f.answer = works
				if i%2 == 1 && i/2 < bad || i >= 2*good {
					f.answer = fails
				}
				if got := call(t.Context()); got == "refused" {
					t.Fatal("opened too early")
				}
				passTime(10 * time.Millisecond)
			}
		}
		burst(5, 4)
		passTime(12 * time.Second) // what is older than the window does not count
		burst(5, 4)
		f.answer = fails
		want(t, "the failure that makes it half", call(t.Context()), "error")
		want(t, "open", call(t.Context()), "refused")
	})
}

func TestSeveralTrialsMustAllSucceed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fickle{answer: fails}
		call := newBench(t, 0, Breaker(Trip{Trials: 3})).tool("tool", f)
		for range DefaultFailures {
			call(t.Context())
		}
		passTime(DefaultOpenFor + 1)
		f.answer = works
		want(t, "first trial", call(t.Context()), "ok")
		want(t, "second trial", call(t.Context()), "ok")
		f.answer = fails
		want(t, "third trial fails", call(t.Context()), "error")
		want(t, "open again", call(t.Context()), "refused")
		passTime(DefaultOpenFor + 1)
		f.answer = works
		for range 3 {
			want(t, "trial", call(t.Context()), "ok")
		}
		f.answer = fails
		for range DefaultFailures - 1 {
			want(t, "closed", call(t.Context()), "error")
		}
		want(t, "still closed", call(t.Context()), "error")
		want(t, "open", call(t.Context()), "refused")
	})
}

func TestWhatIsToldNotToCountDoesNot(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context) (*mcp.CallToolResult, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, test := range map[string]struct {
		trip   Trip
		answer func(context.Context) (*mcp.CallToolResult, error)
		opens  bool
	}{
		"errors":                    {Trip{IgnoreErrors: true}, fails, false},
		"timeouts":                  {Trip{IgnoreTimeouts: true}, hangs, false},
		"timeouts, errors ignored":  {Trip{IgnoreErrors: true}, hangs, true},
		"errors, timeouts ignored":  {Trip{IgnoreTimeouts: true}, fails, true},
		"panics always count":       {Trip{IgnoreErrors: true, IgnoreTimeouts: true}, func(context.Context) (*mcp.CallToolResult, error) { panic("x") }, true},
		"tool errors, not asked":    {Trip{}, complains, false},
		"slow although errors pass": {Trip{IgnoreErrors: true, Slow: time.Nanosecond}, func(context.Context) (*mcp.CallToolResult, error) { passTime(2); return &mcp.CallToolResult{}, nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				call := newBench(t, time.Second, Breaker(test.trip)).tool("tool", &fickle{answer: test.answer})
				opened := false
				for range 2 * DefaultFailures {
					opened = call(t.Context()) == "refused" || opened
				}
				if opened != test.opens {
					t.Errorf("opened: %v", opened)
				}
			})
		})
	}
}

func TestToolsOfOneUpstreamRestTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0, Upstream("api", "read", "write"), Breaker(Trip{Failures: 4}))
		f := &fickle{answer: fails}
		read, write, other := b.tool("read", f), b.tool("write", f), b.tool("other", &fickle{answer: works})
		for range 2 {
			want(t, "read", read(t.Context()), "error")
			want(t, "write", write(t.Context()), "error")
		}
		want(t, "read rests", read(t.Context()), "refused")
		want(t, "write rests", write(t.Context()), "refused")
		want(t, "another tool", other(t.Context()), "ok")
		passTime(DefaultOpenFor + 1)
		f.answer = works
		want(t, "trial by one", read(t.Context()), "ok")
		want(t, "serves both", write(t.Context()), "ok")
	})
}

func TestBreakerStateIsVisible(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Upstream("api", "x"), WithoutPrincipalRate(), Breaker(Trip{Failures: 2}))
		fail := true
		h := l.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) {
			if fail {
				return nil, errors.New("down")
			}
			return success, nil
		})
		for range 2 {
			_, _ = h(t.Context(), toolCall("a", "x"))
		}
		passTime(time.Second)
		got := l.Stats().Breakers
		if len(got) != 2 || got[0].Kind != "tool" || got[1].Kind != "upstream" || got[1].Name != "api" {
			t.Fatalf("got %+v", got)
		}
		for _, s := range got {
			if s.State != "open" || s.Opened != 1 || s.Wait != DefaultOpenFor-time.Second+1 || s.Running != 0 {
				t.Errorf("got %+v", s)
			}
		}
		passTime(DefaultOpenFor)
		if got := l.Stats().Breakers[0]; got.State != "half-open" || got.Wait != 0 {
			t.Errorf("got %+v", got)
		}
		fail = false
		mustPass(t, h, toolCall("a", "x"))
		if got := l.Stats().Breakers[0]; got.State != "closed" || got.Opened != 1 {
			t.Errorf("got %+v", got)
		}
	})
}
