package ratelimit

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestFloodOfOnePrincipalDoesNotStarveAnother(t *testing.T) {
	h := limited(t, withClock(newClock()))
	for range 10_000 {
		_, _ = h(t.Context(), toolCall("10.0.0.1", "x"))
	}
	tooFast(t, h, toolCall("10.0.0.1", "x"))
	for range DefaultBurst {
		mustPass(t, h, toolCall("10.0.0.2", "x"))
	}
}

func TestRetryAfterIsExact(t *testing.T) {
	rates := map[string]Rate{
		"even":         PerPrincipal(60, time.Minute).Burst(1),
		"burst":        PerPrincipal(60, time.Minute).Burst(7),
		"odd interval": PerPrincipal(7, time.Minute),
		"fast":         PerPrincipal(3_000_000, time.Second).Burst(2),
		"pair":         PerPrincipalAndTool(10, time.Second),
		"tool":         PerTool(10, time.Second),
	}
	for name, r := range rates {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h := limited(t, withClock(c), r)
			for range 3 {
				var d *mcpsec.Denial
				for d == nil {
					_, d = pass(t, h, toolCall("a", "x"), "ratelimit.exceeded")
				}
				wait := d.RetryAfter
				c.move(wait - 1)
				if d := tooFast(t, h, toolCall("a", "x")); d.RetryAfter != 1 {
					t.Errorf("1 ns early the wait is %v", d.RetryAfter)
				}
				c.move(1)
				mustPass(t, h, toolCall("a", "x"))
				c.move(time.Duration(17)) // a time that falls on no interval
			}
		})
	}
}

func TestRefusalSaysWhichLimitAndHowLong(t *testing.T) {
	h := limited(t, withClock(newClock()), PerPrincipal(1, time.Minute))
	mustPass(t, h, toolCall("a", "x"))
	d := tooFast(t, h, toolCall("a", "x"))
	if d.Reason != "too many calls: at most 1 in 1m0s for one principal; retry in 1m0s" || d.Detail != "PerPrincipal(1, 1m0s)" {
		t.Errorf("reason %q, detail %q", d.Reason, d.Detail)
	}
}

func TestParallelCallsGetExactlyTheBurst(t *testing.T) {
	const burst = 137
	tests := map[string]func(i int) *mcpsec.Call{
		"one key":        func(int) *mcpsec.Call { return toolCall("a", "x") },
		"many per tool":  func(i int) *mcpsec.Call { return toolCall(fmt.Sprint(i), "x") },
		"anonymous":      func(int) *mcpsec.Call { return toolCall("", "x") },
		"overflow, full": func(i int) *mcpsec.Call { return toolCall(fmt.Sprint(i), "x") },
	}
	options := map[string][]Option{
		"one key":        {PerPrincipal(burst, time.Hour), PerTool(1e6, time.Hour)},
		"many per tool":  {PerTool(burst, time.Hour)},
		"anonymous":      {PerPrincipalAndTool(burst, time.Hour)},
		"overflow, full": {PerPrincipal(burst, time.Hour), MaxKeys(1)},
	}
	for name, call := range tests {
		t.Run(name, func(t *testing.T) {
			h := limited(t, append(options[name], withClock(newClock()), WithoutInFlight(), WithoutBreaker())...)
			want := int64(burst)
			if name == "overflow, full" { // the one key that has a bucket of its own is used up first
				for range burst {
					mustPass(t, h, toolCall("first", "x"))
				}
			}
			var passed atomic.Int64
			var wg sync.WaitGroup
			for worker := range 10 {
				wg.Go(func() {
					for i := range 1000 {
						if _, err := h(t.Context(), call(worker*1000+i)); err == nil {
							passed.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if passed.Load() != want {
				t.Errorf("%d of 10 000 calls passed, want %d", passed.Load(), want)
			}
		})
	}
}

func TestRefusalBySecondLimitTakesNothingFromFirst(t *testing.T) {
	c := newClock()
	h := limited(t, withClock(c), PerPrincipal(10, time.Hour), PerPrincipalAndTool(2, time.Hour), PerTool(3, time.Hour))
	for range 2 {
		mustPass(t, h, toolCall("a", "x"))
	}
	for range 100 {
		tooFast(t, h, toolCall("a", "x")) // by the pair
	}
	mustPass(t, h, toolCall("b", "x"))
	for range 100 {
		tooFast(t, h, toolCall("b", "x")) // by the tool
	}
	for i := range 8 { // what a has left, with other tools
		mustPass(t, h, toolCall("a", fmt.Sprint(i)))
	}
	tooFast(t, h, toolCall("a", "z"))
	for i := range 9 {
		mustPass(t, h, toolCall("b", fmt.Sprint(i)))
	}
	tooFast(t, h, toolCall("b", "z"))
}

func TestWaitIsTheLongestOfAllLimits(t *testing.T) {
	c := newClock()
	h := limited(t, withClock(c), PerPrincipal(1, time.Second), PerTool(1, time.Minute))
	mustPass(t, h, toolCall("a", "x"))
	d := tooFast(t, h, toolCall("a", "x"))
	if d.RetryAfter != time.Minute || !strings.HasPrefix(d.Detail, "PerTool") {
		t.Errorf("wait %v by %s", d.RetryAfter, d.Detail)
	}
	c.move(d.RetryAfter)
	mustPass(t, h, toolCall("a", "x"))
}

func TestAnonymousCallersShareOneBucket(t *testing.T) {
	h := limited(t, withClock(newClock()), PerPrincipal(2, time.Hour))
	mustPass(t, h, toolCall("", "x"))
	mustPass(t, h, toolCall("", "y"))
	tooFast(t, h, toolCall("", "z"))
}

func TestPrincipalCannotPassForAnother(t *testing.T) {
	h := limited(t, withClock(newClock()), PerPrincipal(1, time.Hour))
	address := &mcpsec.Call{Method: "tools/list", Principal: from("anonymous")}
	mustPass(t, h, toolCall("", "x"))
	mustPass(t, h, address)
	mustPass(t, h, &mcpsec.Call{Method: "tools/list", Principal: mcpsec.Principal{Rung: mcpsec.Process, Subject: "anonymous"}})
	tooFast(t, h, address)
}

func TestMadeUpNamesMakeNoNewBuckets(t *testing.T) {
	tests := map[string]func(i int) *mcpsec.Call{
		"unknown tools": func(i int) *mcpsec.Call {
			return &mcpsec.Call{Method: "tools/call", Name: fmt.Sprint(i), Principal: from("a")}
		},
		"unknown methods": func(i int) *mcpsec.Call { return &mcpsec.Call{Method: fmt.Sprint(i), Principal: from("a")} },
		"resource names":  func(i int) *mcpsec.Call { return &mcpsec.Call{Method: "resources/read", Name: fmt.Sprint(i)} },
		"session and model": func(i int) *mcpsec.Call {
			return &mcpsec.Call{Method: "tools/list", Session: fmt.Sprint(i), Client: fmt.Sprint(i)}
		},
	}
	for name, call := range tests {
		t.Run(name, func(t *testing.T) {
			h := limited(t, withClock(newClock()), PerPrincipalAndTool(5, time.Hour))
			for i := range 5 {
				mustPass(t, h, call(i))
			}
			tooFast(t, h, call(5))
		})
	}
}

func TestEveryMethodCountsButTwo(t *testing.T) {
	for method, counts := range map[string]bool{
		"tools/call": true, "tools/list": true, "initialize": true, "server/discover": true, "prompts/get": true,
		"subscriptions/listen": true, "notifications/cancelled": true, "notifications/progress": true, "x/custom": true, "": true,
		"ping": false, "notifications/initialized": false,
	} {
		for name, r := range map[string]Rate{"principal": PerPrincipal(1, time.Hour), "pair": PerPrincipalAndTool(1, time.Hour)} {
			h := limited(t, withClock(newClock()), r)
			call := &mcpsec.Call{Method: method, Principal: from("a")}
			mustPass(t, h, call)
			if ok, _ := pass(t, h, call, "ratelimit.exceeded"); ok == counts {
				t.Errorf("%q per %s: second call passed is %v", method, name, ok)
			}
		}
	}
}

func TestLimitPerToolIsForToolsOnly(t *testing.T) {
	h := limited(t, withClock(newClock()), PerTool(1, time.Hour))
	for i := range 10 {
		mustPass(t, h, &mcpsec.Call{Method: "tools/list", Principal: from(fmt.Sprint(i))})
	}
	mustPass(t, h, toolCall("a", "x"))
	mustPass(t, h, toolCall("a", "y"))
	tooFast(t, h, toolCall("b", "x"))
}

func TestToolNamedLikeMethodHasItsOwnBucket(t *testing.T) {
	h := limited(t, withClock(newClock()), PerPrincipalAndTool(1, time.Hour))
	mustPass(t, h, toolCall("a", "tools/list"))
	mustPass(t, h, &mcpsec.Call{Method: "tools/list", Principal: from("a")})
}

func TestQuestionsToClientHaveBucketsOfTheirOwn(t *testing.T) {
	for name, r := range map[string]Rate{"principal": PerPrincipal(2, time.Hour), "pair": PerPrincipalAndTool(2, time.Hour)} {
		t.Run(name, func(t *testing.T) {
			h := limited(t, withClock(newClock()), r, PerTool(3, time.Hour))
			ask := func(method string) *mcpsec.Call {
				c := toolCall("a", "x")
				c.Method, c.Outgoing, c.Parent = method, true, "call"
				return c
			}
			for range 2 {
				mustPass(t, h, ask("sampling/createMessage"))
				mustPass(t, h, ask("elicitation/create"))
			}
			tooFast(t, h, ask("sampling/createMessage"))
			tooFast(t, h, ask("elicitation/create"))
			for range 2 { // neither the principal's nor the tool's calls were used up
				mustPass(t, h, toolCall("a", "x"))
			}
			tooFast(t, h, toolCall("a", "x"))
		})
	}
}

func TestClockGoingBackGrantsNothing(t *testing.T) {
	c := newClock()
	h := limited(t, withClock(c), PerPrincipal(3, time.Minute))
	for range 3 {
		mustPass(t, h, toolCall("a", "x"))
	}
	for _, back := range []time.Duration{-time.Nanosecond, -time.Second, -24 * time.Hour} {
		c.move(back)
		d := tooFast(t, h, toolCall("a", "x"))
		c.move(d.RetryAfter - 1)
		tooFast(t, h, toolCall("a", "x"))
		c.move(1 - d.RetryAfter - back)
	}
	c.move(20 * time.Second)
	mustPass(t, h, toolCall("a", "x"))
}
