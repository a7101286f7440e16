package ratelimit

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func looping(t *testing.T, c *clock, l Loop) mcpsec.Handler {
	t.Helper()
	return limited(t, withClock(c), WithoutPrincipalRate(), WithoutBreaker(), Loops(l))
}

func with(call *mcpsec.Call, args string) *mcpsec.Call {
	call.Arguments = json.RawMessage(args)
	return call
}

func TestSameCallAgainAndAgainIsALoop(t *testing.T) {
	t.Parallel()
	c := newClock()
	h := looping(t, c, Loop{Repeats: 3})
	same := func() *mcpsec.Call { return with(toolCall("a", "x"), `{"q":1}`) }
	for i := range 3 {
		mustPass(t, h, same())
		mustPass(t, h, with(toolCall("a", "x"), fmt.Sprintf(`{"q":%d}`, 10+i))) // others in between hide nothing
		mustPass(t, h, with(toolCall("b", "x"), `{"q":1}`))
		c.move(time.Second)
	}
	ok, d := pass(t, h, same(), "ratelimit.loop")
	if ok || d.RetryAfter != 57*time.Second {
		t.Fatalf("passed %v, %+v", ok, d)
	}
	mustPass(t, h, with(toolCall("a", "y"), `{"q":1}`))
	c.move(d.RetryAfter - 1)
	if ok, _ := pass(t, h, same(), "ratelimit.loop"); ok {
		t.Error("passed too early")
	}
	c.move(1)
	mustPass(t, h, same())
}

func TestTwoToolsFeedingEachOtherAreALoop(t *testing.T) {
	t.Parallel()
	c := newClock()
	h := looping(t, c, Loop{Turns: 4})
	n := 0
	turn := func(tool string) (bool, *mcpsec.Denial) {
		n++
		return pass(t, h, with(toolCall("a", tool), fmt.Sprint(n)), "ratelimit.loop")
	}
	for i := range 8 {
		if ok, d := turn([]string{"search", "fetch"}[i%2]); !ok {
			t.Fatalf("turn %d: %v", i, d)
		}
	}
	if ok, d := turn("search"); ok || d.RetryAfter != time.Minute {
		t.Errorf("passed %v, %+v", ok, d)
	}
	if ok, _ := turn("other"); !ok {
		t.Error("a third tool was refused")
	}
	for i := range 8 {
		if ok, d := turn([]string{"search", "fetch"}[i%2]); !ok {
			t.Fatalf("after a third tool, turn %d: %v", i, d)
		}
	}
	c.move(time.Minute)
	for range 30 { // one tool again and again is no turn
		if ok, d := turn("search"); !ok {
			t.Fatal(d)
		}
	}
}

func TestOneCallCannotAskWithoutEnd(t *testing.T) {
	t.Parallel()
	l := New(WithoutPrincipalRate(), WithoutBreaker(), Loops(Loop{Questions: 3}))
	var h mcpsec.Handler
	h = l.Wrap(func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Outgoing {
			return &mcp.ElicitResult{}, nil
		}
		for i := range 5 {
			q := toolCall("a", "x")
			q.Method, q.Outgoing, q.Parent = "elicitation/create", true, "call"
			_, err := h(ctx, q)
			if d := mcpsec.AsDenial(err); (d == nil) != (i < 3) || d != nil && d.Code != "ratelimit.loop" {
				t.Errorf("question %d: %v", i+1, err)
			}
		}
		return success, nil
	})
	mustPass(t, h, toolCall("a", "x"))
	mustPass(t, h, toolCall("a", "x")) // each call has its own number
}

func TestLoopsAreOffUnlessAskedForAndEachPartCanBe(t *testing.T) {
	t.Parallel()
	for _, h := range []mcpsec.Handler{
		limited(t, WithoutPrincipalRate()),
		looping(t, newClock(), Loop{Repeats: -1, Turns: -1, Questions: -1}),
	} {
		for i := range 200 {
			mustPass(t, h, toolCall("a", []string{"x", "y"}[i%2]))
		}
	}
}

func TestTrailsAreBounded(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := newLoops(Loop{Repeats: 2}, c.now)
	h := l.Wrap(done)
	for i := range maxTrails + 10 {
		mustPass(t, h, with(toolCall(fmt.Sprint(i), "x"), "1"))
	}
	if len(l.trails) != maxTrails {
		t.Errorf("%d trails", len(l.trails))
	}
	late := func() *mcpsec.Call { return with(toolCall("late", "x"), "1") }
	mustPass(t, h, late()) // who finds no room is watched all the same
	mustPass(t, h, late())
	if ok, _ := pass(t, h, late(), "ratelimit.loop"); ok {
		t.Error("a flood of principals blinded the watch")
	}
	c.move(time.Minute)
	mustPass(t, h, late())
	if len(l.trails) != 1 {
		t.Errorf("%d trails are left", len(l.trails))
	}
}

func TestJumpInSpendingIsStopped(t *testing.T) {
	t.Parallel()
	c := newClock()
	h := spending(t, c, done, Budget("$1000/day"), Price("x", "$0.1"), SpendSurge(5))
	for minute := range 12 {
		for range 2 + minute%2 {
			mustPass(t, h, toolCall("a", "x"))
		}
		c.move(time.Minute)
		if minute == 5 {
			c.move(3 * time.Hour) // a pause says nothing of what is usual
		}
	}
	passed := 0
	var d *mcpsec.Denial
	for ok := true; ok && passed < 100; {
		if ok, d = pass(t, h, toolCall("a", "x"), "ratelimit.loop"); ok {
			passed++
		}
	}
	if passed < 10 || passed > 15 { // the usual is between 2 and 3 a minute
		t.Errorf("%d calls passed in one minute", passed)
	}
	for range 50 { // another has no history: that is what budgets are for
		mustPass(t, h, toolCall("b", "x"))
	}
	c.move(d.RetryAfter)
	mustPass(t, h, toolCall("a", "x"))
}

func TestRefusedCallsDoNotMakeMuchLookUsual(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := New(withClock(c), WithoutPrincipalRate(), Budget("$0.5/60s").PerPrincipal(), Price("x", "$0.25"), SpendSurge(3))
	h := l.Wrap(done)
	for range 12 {
		if n := runs(t, h, toolCall("a", "x")); n != 2 {
			t.Fatalf("%d calls passed", n)
		}
		for range 50 {
			overBudget(t, h, toolCall("a", "x"))
		}
		c.move(2 * time.Minute)
	}
	for _, part := range l.parts {
		if b, ok := part.(*budgets); ok {
			for _, p := range b.surges.paces {
				if p.usual != 500_000 {
					t.Errorf("the usual is %v a minute", Amount{USD, p.usual})
				}
			}
		}
	}
}

// A call that comes back with answers is one call: no repeat, and its questions add up.
func TestRoundsOfOneCallAreNoLoopAndAskNoMore(t *testing.T) {
	t.Parallel()
	asked := 0
	var h mcpsec.Handler
	l := New(withClock(newClock()), WithoutPrincipalRate(), WithoutBreaker(), Loops(Loop{Repeats: 3, Questions: 2}))
	h = l.Wrap(func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Outgoing {
			return success, nil
		}
		q := toolCall("a", "x")
		q.Method, q.Outgoing = methodElicit, true
		if _, err := h(ctx, q); err == nil {
			asked++
		}
		if call.Round == 5 {
			return &mcp.CallToolResult{}, nil
		}
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"q": &mcp.ElicitParams{}}}, nil
	})
	for i := range 6 {
		call := with(toolCall("a", "x"), `{}`)
		call.ID, call.Round = "one", i
		if ok, d := pass(t, h, call, "ratelimit.loop"); !ok {
			t.Fatalf("round %d of one call: %v", i, d)
		}
	}
	if asked != 2 {
		t.Errorf("Questions is 2, and one call asked %d in all its rounds", asked)
	}
	for _, p := range l.parts {
		if one, ok := p.(*loops); ok && len(one.fans) != 0 {
			t.Errorf("%d calls that are over are remembered", len(one.fans))
		}
	}
}

func TestStrangersWithoutATrailAreNoLoop(t *testing.T) {
	t.Parallel()
	h := looping(t, newClock(), Loop{Turns: 3})
	for i := range maxTrails {
		mustPass(t, h, toolCall(fmt.Sprint("flood", i), "x"))
	}
	for i := range 20 {
		who, tool := "alice", "search"
		if i%2 == 1 {
			who, tool = "bob", "fetch"
		}
		if ok, d := pass(t, h, with(toolCall(who, tool), fmt.Sprint(i)), "ratelimit.loop"); !ok {
			t.Fatalf("%s calls one tool only: %v", who, d)
		}
	}
}
