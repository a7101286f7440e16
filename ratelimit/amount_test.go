package ratelimit

import (
	"math"
	"strings"
	"testing"
)

func TestAmountsAreReadExactly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Amount{
		"$5":                                 {USD, 5_000_000},
		"$0.000001":                          {USD, 1},
		"$0.1":                               {USD, 100_000}, // which no binary fraction is
		"$4503599627.370496":                 {USD, maxMicros},
		"1500 tokens":                        {"tokens", 1_500_000_000},
		"2.5 eur":                            {"eur", 2_500_000},
		"5 usd":                              {USD, 5_000_000},
		"0 calls":                            {"calls", 0},
		"007 calls":                          {"calls", 7_000_000},
		"1 a_2345678901234567890123456789_1": {"a_2345678901234567890123456789_1", 1_000_000},
	} {
		got, err := ParseAmount(text)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "$", "5", "$-5", "-$5", "+$5", "$5.", "$.5", "$5.0000001", "$1e3", "$1,000", "$5 usd", "5usd", "5  usd", " $5", "$5 ", "$5\n",
		"5 USD", "5 _x", "5 1x", "$4503599627.370497", "$99999999999", "٣ usd", "5 a_2345678901234567890123456789_12", "$0x10", "$1_0", "NaN usd", "Inf usd",
	} {
		if got, err := ParseAmount(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestHugeUnitsAreNoAmount(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{math.MaxInt64, math.MinInt64, 1 << 50, -1} {
		if err := Units(n, "tokens").check(); err == nil {
			t.Errorf("%d tokens are accepted as %v", n, Units(n, "tokens"))
		}
	}
	if got := Units(3, "tokens"); got != (Amount{"tokens", 3_000_000}) {
		t.Errorf("got %+v", got)
	}
	if got := (Amount{USD, math.MinInt64}).String(); got != "-$9223372036854.775808" {
		t.Errorf("got %s", got)
	}
}

func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{"$5", "$0.25", "1500 tokens", "2.5 eur", "$4503599627.370496", "$", "1 x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAmount(text)
		if err != nil {
			if len(err.Error()) > 300 {
				t.Errorf("the error repeats %d bytes", len(err.Error()))
			}
			return
		}
		if a.Micros < 0 || a.Micros > maxMicros || a.Unit == "" {
			t.Fatalf("%q is %+v", text, a)
		}
		if back, err := ParseAmount(a.String()); err != nil || back != a {
			t.Fatalf("%q is %+v, written %s, which is %+v, %v", text, a, a, back, err)
		}
	})
}

func FuzzBudget(f *testing.F) {
	for _, s := range []string{"$5/day", "$100/month", "20000 tokens/hour", "$5/24h", "$0.10/call", "$5/", "$1/1s/1s", "$1/99999999h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := Budget(text)
		if err := c.check(); err == nil && (c.limit.Micros < 1 || !c.perCall && c.window.check() != nil) {
			t.Fatalf("%q is %+v", text, c)
		}
	})
}

func TestUnusableBudgetsAndPricesAreRefused(t *testing.T) {
	t.Parallel()
	price := Price(AnyTool, "$1")
	for name, test := range map[string]struct {
		opts []Option
		want string
	}{
		"no window":            {[]Option{Budget("$5"), price}, `write an amount, a slash and a window`},
		"no amount":            {[]Option{Budget("five/day"), price}, `is no amount`},
		"unknown window":       {[]Option{Budget("$5/week"), price}, `use hour, day, month, call, or a length`},
		"nothing":              {[]Option{Budget("$0/day"), price}, "must be positive"},
		"too short":            {[]Option{Budget("$5/1ms"), price}, "between a second and ten years"},
		"negative window":      {[]Option{Budget("$5/-1h"), price}, "between a second and ten years"},
		"zero Ceiling":         {[]Option{Ceiling{}, price}, "must be positive"},
		"zero Tariff":          {[]Option{Budget("$5/day"), Tariff{}}, "zero Tariff"},
		"same budget twice":    {[]Option{Budget("$5/day"), Budget("$6/day"), price}, `Budget("$6/day") was given after Budget("$5/day")`},
		"same price twice":     {[]Option{Budget("$5/day"), price, price}, `Price("*") was given after Price("*")`},
		"nothing has a price":  {[]Option{Budget("$5/day")}, "nothing has a price in it"},
		"other unit":           {[]Option{Budget("5 eur/day"), price}, "is in usd, and no budget is"},
		"mixed units":          {[]Option{Budget("$5/day"), price.PerArgumentKiB("1 eur")}, "give the tool a second price"},
		"no tool":              {[]Option{Budget("$5/day"), Price("", "$1")}, "a tool has a name"},
		"bad amount":           {[]Option{Budget("$5/day"), Price("x", "much")}, "is no amount"},
		"no result size":       {[]Option{Budget("$5/day"), price.PerResultKiB("$1", 0)}, "at least 1 KiB"},
		"tokens of a tool":     {[]Option{Budget("$5/day"), price.PerToken("$1", 5)}, "PerToken is for PriceSampling"},
		"no tokens":            {[]Option{Budget("$5/day"), PriceSampling("$1").PerToken("$1", 0)}, "allow at least 1 token"},
		"report of a question": {[]Option{Budget("$5/day"), PriceSampling("$1").Reported("$1")}, "a question has no handler"},
		"nothing reported":     {[]Option{Budget("$5/day"), price.Reported("$0")}, "is nothing: leave it out"},
		"more than all":        {[]Option{Budget("$5/day"), price.OnFailure(101)}, "between 0 and 100"},
		"less than nothing":    {[]Option{Budget("$5/day"), price.OnToolError(-1)}, "between 0 and 100"},
		"per call and person":  {[]Option{Budget("$5/call").PerPrincipal(), price}, "the same for everybody"},
		"warn":                 {[]Option{Budget("$5/day").Warn(101), price}, "between 0 and 100"},
	} {
		if err := New(test.opts...).Check(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
	}
	// A part is not lost when a tariff is copied, nor does a fault reach the original.
	base := Price("x", "$1")
	_ = base.Reported("much")
	if err := New(Budget("$50/day"), base.PerArgumentKiB("$2")).Check(); err != nil {
		t.Error(err)
	}
}
