package ratelimit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestEachDimensionHasItsOwnBuckets(t *testing.T) {
	t.Parallel()
	call := func(tenant, who, tool string) *mcpsec.Call {
		c := toolCall(who, tool)
		c.Principal.Issuer, c.Principal.Tenant = "idp", tenant
		c.Client = "client of " + who
		return c
	}
	byClient := By("client", func(c *mcpsec.Call) string { return c.Client })
	tests := map[string]struct {
		rate        Rate
		same, other *mcpsec.Call // what shares the bucket of tenant t, a, x, and what does not
	}{
		"tenant":             {PerTenant(1, time.Hour), call("t", "b", "y"), call("u", "a", "x")},
		"server":             {PerServer(1, time.Hour), call("u", "b", "y"), nil},
		"expression":         {PerKey(byClient, 1, time.Hour), call("u", "a", "y"), call("t", "b", "x")},
		"principal":          {PerPrincipal(1, time.Hour), call("t", "a", "y"), call("t", "b", "x")},
		"tool":               {PerTool(1, time.Hour), call("u", "b", "x"), call("t", "a", "y")},
		"principal and tool": {PerPrincipalAndTool(1, time.Hour), call("t", "a", "x"), call("t", "a", "y")},
		"some tools":         {PerServer(1, time.Hour).Of("x", "z"), call("u", "b", "z"), call("t", "a", "y")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := limited(t, withClock(newClock()), WithoutBreaker(), test.rate)
			mustPass(t, h, call("t", "a", "x"))
			if d := tooFast(t, h, test.same); d.Detail != test.rate.String() {
				t.Errorf("the detail %q does not name %v", d.Detail, test.rate)
			}
			if test.other != nil {
				mustPass(t, h, test.other)
			}
		})
	}
}

func TestTwoRatesOfOneDimensionHoldTogether(t *testing.T) {
	t.Parallel()
	c := newClock()
	h := limited(t, withClock(c), PerPrincipal(2, time.Second), PerPrincipal(3, time.Hour))
	mustPass(t, h, toolCall("a", "x"))
	mustPass(t, h, toolCall("a", "x"))
	if d := tooFast(t, h, toolCall("a", "x")); d.RetryAfter != 500*time.Millisecond {
		t.Errorf("the rate per second says %v", d.RetryAfter)
	}
	c.move(time.Second)
	mustPass(t, h, toolCall("a", "x")) // the refusal took nothing from the rate per hour
	if d := tooFast(t, h, toolCall("a", "x")); d.RetryAfter < time.Minute {
		t.Errorf("the rate per hour says %v", d.RetryAfter)
	}
}

// Keys of shared stores must differ whenever the local ones do, whatever names hold.
func TestSharedKeysCannotBeMadeToCollide(t *testing.T) {
	t.Parallel()
	ds := newDigester()
	dims := []dimension{
		{scope: perPrincipal}, {scope: perTool}, {scope: perPrincipalAndTool}, {scope: perTenant}, {scope: perServer},
		{scope: perKey, by: By("name", func(c *mcpsec.Call) string { return c.Session })},
	}
	names := []string{"", "a", `"`, `a"/"b`, "a/b", "tool", strings.Repeat("x", 5000), strings.Repeat("x", 4999) + "y"}
	for _, d := range dims {
		seen := make(map[string]string)
		for _, who := range names {
			for _, tool := range names {
				for _, method := range []string{"tools/call", "tools/list", "sampling/createMessage"} {
					c := toolCall(who, tool)
					c.Method, c.Outgoing, c.Session = method, method == "sampling/createMessage", who
					c.Principal.Tenant, c.Principal.Issuer = who, tool
					s := ds.subject(c)
					key, _ := d.key(ds, &s)
					text := d.shared("rate/x", &s)
					if len(text) > maxKey {
						t.Fatalf("a key of %d bytes", len(text))
					}
					if before, ok := seen[text]; ok && before != fmt.Sprint(key) {
						t.Fatalf("%v: %.80s stands for two buckets", d, text)
					}
					seen[text] = fmt.Sprint(key)
				}
			}
		}
		local := make(map[string]bool)
		for _, key := range seen {
			local[key] = true
		}
		if len(local) != len(seen) {
			t.Errorf("%v: %d keys for %d buckets", d, len(seen), len(local))
		}
	}
}

func TestUnusableDimensionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		option Option
		want   string
	}{
		"no function":   {PerKey(Key{}, 1, time.Second), "make the key with By"},
		"no name":       {PerKey(By("", func(*mcpsec.Call) string { return "" }), 1, time.Second), "make the key with By"},
		"no tools":      {PerServer(1, time.Second).Of(), "name at least one tool"},
		"empty tool":    {PerServer(1, time.Second).Of(""), "a tool has a name"},
		"no replicas":   {PerServer(1, time.Second).OnOutage(LocalShare(0)), "at least 1 replica"},
		"a tiny share":  {PerServer(1, 1000*time.Hour).OnOutage(LocalShare(1 << 40)), "is too small"},
		"a nil store":   {Shared(nil), "the store is nil"},
		"no directory":  {StateDir(""), "name a directory"},
		"slow negative": {Breaker(Trip{Slow: -1}), "field Slow must not be negative"},
		"percent":       {Breaker(Trip{Percent: 101}), "between 0 and 100"},
		"window":        {Breaker(Trip{Window: time.Minute}), "go with Percent"},
		"short window":  {Breaker(Trip{Percent: 1, Window: time.Millisecond}), "at least 10 ms"},
		"no upstream":   {Upstream("x"), "name the upstream and the tools"},
		"no queue":      {Queue(0, 1, time.Second), "let at least 1 wait"},
		"queue swapped": {Queue(8, 1, time.Second), "the order is perPrincipal, total"},
		"endless queue": {Queue(1, 1, 0), "longest wait must be positive"},
		"huge queue":    {Queue(1, 1<<20, time.Second), "at most 4096"},
		"no slots":      {InFlightPerTool(0), "allow at least 1"},
		"repeats":       {Loops(Loop{Repeats: 65}), "at most 64 Repeats"},
		"surge of one":  {SpendSurge(1), "between 2 and"},
		"surge alone":   {SpendSurge(10), "add a budget and prices"},
	} {
		if err := New(test.option).Check(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
	}
	many := make([]Option, 8)
	for i := range many {
		many[i] = PerServer(1, time.Duration(i+1))
	}
	if err := New(many...).Check(); err == nil || !strings.Contains(err.Error(), "at most 7") {
		t.Errorf("8 rates: %v", err)
	}
}
