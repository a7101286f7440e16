package ratelimit

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A counter lets one call in at a time and notes the order.
type counter struct {
	h     mcpsec.Handler
	order []string
	step  chan struct{}
}

func newCounter(t *testing.T, opts ...Option) *counter {
	t.Helper()
	c := &counter{step: make(chan struct{})}
	l := New(append(opts, WithoutPrincipalRate(), WithoutBreaker())...)
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	c.h = l.Wrap(func(_ context.Context, call *mcpsec.Call) (mcp.Result, error) {
		c.order = append(c.order, call.Principal.Subject+call.Session)
		<-c.step
		return success, nil
	})
	return c
}

// send starts a call and returns where its error will be, when it runs or waits.
func (c *counter) send(ctx context.Context, who, tool, nth string) <-chan error {
	end := make(chan error, 1)
	call := toolCall(who, tool)
	call.Session = nth
	go func() {
		_, err := c.h(ctx, call)
		end <- err
	}()
	synctest.Wait()
	return end
}

func TestGreedyPrincipalDelaysOnlyItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, InFlight(1, 1), Queue(8, 32, time.Hour))
		for i := range 5 {
			c.send(t.Context(), "greedy", "x", fmt.Sprint(i))
		}
		c.send(t.Context(), "b", "x", "")
		c.send(t.Context(), "c", "x", "")
		for range 7 {
			c.step <- struct{}{}
			synctest.Wait()
		}
		if want := []string{"greedy0", "greedy1", "b", "c", "greedy2", "greedy3", "greedy4"}; !slices.Equal(c.order, want) {
			t.Errorf("the order was %v, want %v", c.order, want)
		}
	})
}

func TestCallForBusyToolDoesNotHoldUpThoseForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, InFlight(3, 3), InFlightPerTool(1), Queue(8, 32, time.Hour))
		c.send(t.Context(), "a", "slow", "1")
		c.send(t.Context(), "a", "slow", "2") // waits
		c.send(t.Context(), "b", "slow", "3") // waits
		c.send(t.Context(), "a", "fast", "4")
		c.send(t.Context(), "b", "other", "5")
		if want := []string{"a1", "a4", "b5"}; !slices.Equal(c.order, want) {
			t.Errorf("running are %v, want %v", c.order, want)
		}
		for range 5 {
			c.step <- struct{}{}
			synctest.Wait()
		}
		if len(c.order) != 5 {
			t.Errorf("only %v ran", c.order)
		}
	})
}

func TestSlowToolCannotTakeCapacityFromOthers(t *testing.T) {
	t.Parallel()
	c := newCrowd(t) // with the defaults of New
	for i := range DefaultInFlightPerTool {
		c.stay(t.Context(), toolCall(fmt.Sprint(i), "slow"))
	}
	if !c.full(toolCall("one more", "slow")) {
		t.Error("one tool runs more calls than allowed")
	}
	for i := range DefaultInFlightTotal - DefaultInFlightPerTool {
		if c.full(toolCall(fmt.Sprint("other ", i), "fast")) {
			t.Fatal("a slow tool took the slots of another")
		}
	}
	c.end()
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, InFlight(1, 1), Queue(2, 3, time.Hour))
		c.send(t.Context(), "a", "x", "")
		for range 2 {
			c.send(t.Context(), "a", "x", "")
		}
		refused := func(who string) {
			t.Helper()
			if d := mcpsec.AsDenial(<-c.send(t.Context(), who, "x", "")); d == nil || d.Code != "ratelimit.too_many_in_flight" {
				t.Errorf("%s: got %v", who, d)
			}
		}
		refused("a") // has two waiting
		c.send(t.Context(), "b", "x", "")
		refused("c") // three wait in all
		for range 4 {
			c.step <- struct{}{}
			synctest.Wait()
		}
	})
}

func TestWaitEndsWithDeadlineAndLongestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, InFlight(1, 1), Queue(8, 8, time.Minute))
		first := c.send(t.Context(), "a", "x", "")
		start := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		hurried, patient := c.send(short, "b", "x", ""), c.send(t.Context(), "c", "x", "")
		if d := mcpsec.AsDenial(<-hurried); d == nil || time.Since(start) != time.Second {
			t.Errorf("ended with %v after %v, want a refusal after 1s", d, time.Since(start))
		}
		if d := mcpsec.AsDenial(<-patient); d == nil || time.Since(start) != time.Minute {
			t.Errorf("ended with %v after %v, want a refusal after 1m", d, time.Since(start))
		}
		c.step <- struct{}{}
		if err := <-first; err != nil {
			t.Error(err)
		}
		go func() { c.step <- struct{}{} }()
		if err := <-c.send(t.Context(), "d", "x", ""); err != nil { // those who gave up hold nothing
			t.Error(err)
		}
	})
}

// A call that is cancelled in the moment it gets its slot must pass it on.
func TestCancelledWaiterPassesItsSlotOn(t *testing.T) {
	t.Parallel()
	g := newGate("calls", slots{9, 9, 1}, queueing{9, 9, time.Hour})
	g.take("a", "x")
	gone, cancel := context.WithCancel(t.Context())
	g.mu.Lock()
	w := g.wait("b", "x")
	g.mu.Unlock()
	cancel()
	g.leave("a", "x")
	if !w.admitted || gone.Err() == nil || g.total != 1 {
		t.Fatal("the waiter has no slot")
	}
	g.leave("b", "x")
	if inside, waiting := g.count(); inside != 0 || waiting != 0 || len(g.busy)+len(g.tools)+len(g.queue.byKey)+len(g.queue.turns) != 0 {
		t.Errorf("%d inside and %d waiting are left", inside, waiting)
	}
}

func TestQueueUnderLoadKeepsEveryBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(InFlight(2, 5), InFlightPerTool(3), Queue(4, 20, time.Second), WithoutPrincipalRate(), WithoutBreaker())
		g := l.parts[1].(*inFlight).calls
		h := l.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) {
			g.mu.Lock()
			for who, n := range g.busy {
				if n > 2 {
					t.Errorf("%s runs %d calls", who, n)
				}
			}
			for tool, n := range g.tools {
				if n > 3 {
					t.Errorf("%d calls of %s run", n, tool)
				}
			}
			if g.total > 5 || g.queue.waiting > 20 {
				t.Errorf("%d run, %d wait", g.total, g.queue.waiting)
			}
			g.mu.Unlock()
			passTime(10 * time.Millisecond)
			return success, nil
		})
		passed := make(chan bool, 400)
		for i := range 400 {
			go func() {
				passTime(time.Duration(i) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+i%50)*time.Millisecond)
				defer cancel()
				_, err := h(ctx, toolCall(fmt.Sprint(i%7), fmt.Sprint(i%3)))
				passed <- err == nil
			}()
		}
		n := 0
		for range 400 {
			if <-passed {
				n++
			}
		}
		if inside, waiting := g.count(); inside != 0 || waiting != 0 || len(g.queue.turns) != 0 || len(g.queue.byKey) != 0 {
			t.Errorf("%d inside and %d waiting are left", inside, waiting)
		}
		if n < 100 {
			t.Errorf("only %d calls passed", n)
		}
	})
}
