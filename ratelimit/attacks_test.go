package ratelimit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// level is the sum of what is booked on all accounts of a Limiter.
func level(l *Limiter) (sum int64) {
	for _, p := range l.parts {
		if b, ok := p.(*budgets); ok {
			for _, a := range b.ledger.accounts {
				sum += a.level()
			}
		}
	}
	return sum
}

func usable(t *testing.T, opts ...Option) *Limiter {
	t.Helper()
	l := New(opts...)
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	return l
}

// Whoever cancels its own call makes no outage, in which limits may be open.
func TestClientThatCancelsIsNotFreeOfLimits(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Outage{"unlimited": UnlimitedDuringOutage(), "share": LocalShare(1)} {
		for kind, opts := range map[string][]Option{
			"rate":   {PerPrincipal(1, time.Hour).OnOutage(o)},
			"budget": {WithoutPrincipalRate(), Budget("$1/day").OnOutage(o), Price("x", "$1")},
		} {
			ran := 0
			h := usable(t, append(opts, Shared(InProcess(100)), WithoutBreaker())...).Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) {
				ran++
				return success, nil
			})
			ctx, cancel := context.WithCancel(t.Context())
			_, _ = h(ctx, toolCall("a", "x"))
			cancel()
			for range 20 {
				_, _ = h(ctx, toolCall("a", "x"))
			}
			if ran > 1 {
				t.Errorf("%s, %s: %d calls ran, limit 1, with a store that works", kind, name, ran)
			}
		}
	}
}

// A call whose queue outlasts a freeze does not begin.
func TestFreezeStopsCallsInTheQueue(t *testing.T) {
	t.Parallel()
	l := usable(t, InFlight(1, 1), Queue(1, 1, time.Hour), WithoutBreaker())
	release, ran := make(chan struct{}), make(chan string, 2)
	h := l.Wrap(func(_ context.Context, call *mcpsec.Call) (mcp.Result, error) {
		ran <- call.Principal.Subject
		<-release
		return success, nil
	})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = h(t.Context(), toolCall("a", "x")) })
	<-ran
	wg.Go(func() { _, _ = h(t.Context(), toolCall("b", "x")) })
	for l.Stats().Waiting == 0 {
		runtime.Gosched()
	}
	if err := l.Switch().Freeze(Everything(), "incident"); err != nil {
		t.Fatal(err)
	}
	close(release)
	wg.Wait()
	close(ran)
	for who := range ran {
		t.Errorf("the handler of %s began after everything was frozen", who)
	}
	if s := l.Stats(); s.InFlight != 0 {
		t.Errorf("%d slots are lost", s.InFlight)
	}
}

func TestNothingLeaksHoweverACallEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": func() { panic("x") }, "goexit": runtime.Goexit, "error": func() {}} {
		l := New(Budget("$1/day"), Price("x", "$0.1").OnFailure(0), InFlight(1, 1))
		h := l.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { end(); return nil, errors.New("x") })
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			_, _ = h(t.Context(), toolCall("a", "x"))
		})
		wg.Wait()
		if s := l.Stats(); s.InFlight != 0 || s.Breakers[0].Running != 0 || s.Breakers[0].Failures != 1 || level(l) != 0 {
			t.Errorf("%s: %+v, %d booked", name, s, level(l))
		}
	}
}

func TestManyAtOnceNeverOverspend(t *testing.T) {
	t.Parallel()
	var spent atomic.Int64
	h := spending(t, newClock(), func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		runtime.Gosched()
		err := Charge(ctx, Amount{USD, 30_000})
		spent.Add(130_000)
		return success, err
	}, Budget("$5/day"), Price("x", "$0.1").Reported("$0.05"), InFlight(1000, 1000), InFlightPerTool(1000))
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() { _, _ = h(t.Context(), toolCall(fmt.Sprint(i%9), "x")) })
	}
	wg.Wait()
	if n := spent.Load(); n > 5_000_000 || n == 0 {
		t.Errorf("%v spent of $5", Amount{USD, n})
	}
}

func TestCancellingInTheQueueLeaksNoSlot(t *testing.T) {
	t.Parallel()
	l := New(InFlight(2, 2), Queue(8, 64, time.Second), WithoutBreaker(), WithoutPrincipalRate())
	h := l.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { runtime.Gosched(); return success, nil })
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%50)*20*time.Microsecond)
			defer cancel()
			_, _ = h(ctx, toolCall(fmt.Sprint(i%9), "x"))
		})
	}
	wg.Wait()
	if s := l.Stats(); s.InFlight != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
	for _, p := range l.parts {
		if f, ok := p.(*inFlight); ok && len(f.calls.busy)+len(f.calls.tools)+len(f.calls.queue.byKey)+len(f.calls.queue.turns) > 0 {
			t.Errorf("%+v", f.calls)
		}
	}
}

// Of a misspelt tool the one that was meant would be free.
func TestLimitOfToolThatIsNotOfferedIsRefused(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Option{
		"rate": PerTool(1, time.Hour).Of("delete_bukcet"), "upstream": Upstream("s3", "delete_bukcet"),
	} {
		for tool, fits := range map[string]bool{"delete_bucket": false, "delete_bukcet": true} {
			g, err := mcpsec.New(New(o))
			if err != nil {
				t.Fatal(err)
			}
			s := mcp.NewServer(&mcp.Implementation{Name: "t"}, nil)
			h, err := mcpsec.Wrap(g, tool, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return success, nil })
			if err != nil {
				t.Fatal(err)
			}
			s.AddTool(&mcp.Tool{Name: tool, InputSchema: json.RawMessage(`{"type":"object"}`)}, h)
			if err := g.Install(s); (err == nil) != fits || err != nil && !strings.Contains(err.Error(), "delete_bukcet") {
				t.Errorf("%s, server with %s: %v", name, tool, err)
			}
			_ = g.Close()
		}
	}
}
