package ratelimit

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestUnusableOptionsAreRefusedWithTheirRemedy(t *testing.T) {
	tests := map[string]struct {
		opts []Option
		want string // part of the error
	}{
		"no calls":            {[]Option{PerPrincipal(0, time.Minute)}, "PerPrincipal(0, 1m0s): allow at least 1 call"},
		"negative calls":      {[]Option{PerTool(-1, time.Minute)}, "PerTool(-1, 1m0s): allow at least 1 call"},
		"no duration":         {[]Option{PerPrincipalAndTool(1, 0)}, "PerPrincipalAndTool(1, 0s): the duration must be positive"},
		"negative duration":   {[]Option{PerPrincipal(1, -time.Second)}, "the duration must be positive"},
		"no burst":            {[]Option{PerPrincipal(1, time.Second).Burst(0)}, "PerPrincipal(1, 1s).Burst(0): a burst below 1"},
		"burst overflows":     {[]Option{PerPrincipal(1, time.Hour).Burst(math.MaxInt)}, "use a smaller one"},
		"zero Rate":           {[]Option{Rate{}}, "allow at least 1 call"},
		"nil option":          {[]Option{nil}, "option 1 is nil: leave it out"},
		"same rate twice":     {[]Option{PerTool(1, time.Second), PerTool(2, time.Second)}, "PerTool(2, 1s) was given after PerTool(1, 1s): keep one"},
		"with and without":    {[]Option{Breaker(Trip{}), WithoutBreaker()}, "WithoutBreaker() was given after Breaker("},
		"limit and unlimited": {[]Option{WithoutPrincipalRate(), PerPrincipal(1, time.Second)}, "PerPrincipal(1, 1s) contradicts WithoutPrincipalRate()"},
		"no slots":            {[]Option{InFlight(0, 8)}, "InFlight(0, 8): allow at least 1; for no limit use WithoutInFlight"},
		"slots swapped":       {[]Option{InFlight(64, 8)}, "InFlight(64, 8): one principal cannot have more than all"},
		"no listeners":        {[]Option{Listeners(4, 0)}, "Listeners(4, 0): allow at least 1"},
		"negative OpenFor":    {[]Option{Breaker(Trip{OpenFor: -1})}, "OpenFor must not be negative"},
		"no keys":             {[]Option{MaxKeys(0)}, "MaxKeys(0): keep at least 1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g, err := mcpsec.New(New(test.opts...))
			if err == nil || g != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			l := New(test.opts...)
			if l.Check() == nil {
				t.Error("Check finds nothing")
			}
			if _, err := l.Wrap(done)(t.Context(), toolCall("a", "x")); err == nil {
				t.Error("an unusable Limiter lets calls pass")
			}
		})
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	err := New(PerPrincipal(0, time.Second), InFlight(0, 0), nil).Check()
	for _, part := range []string{"PerPrincipal", "InFlight", "option 3"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %s", err, part)
		}
	}
}

func TestLimiterNotMadeByNewIsRefused(t *testing.T) {
	for name, l := range map[string]*Limiter{"nil": nil, "zero": {}} {
		if _, err := mcpsec.New(l); err == nil || !strings.Contains(err.Error(), "use ratelimit.New()") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWhatIsTurnedOffSaysSo(t *testing.T) {
	stages := func(opts ...Option) int {
		t.Helper()
		l := New(opts...)
		if err := l.Check(); err != nil {
			t.Fatal(err)
		}
		return len(l.Controls())
	}
	if got := stages(WithoutBreaker()); got != 3 {
		t.Errorf("WithoutBreaker leaves %d controls, want 3", got)
	}
	if got := stages(WithoutPrincipalRate()); got != 3 {
		t.Errorf("WithoutPrincipalRate leaves %d controls, want 3", got)
	}
	h := limited(t, WithoutPrincipalRate(), WithoutInFlight(), WithoutBreaker())
	for range 10 * DefaultBurst {
		mustPass(t, h, toolCall("a", "x"))
	}
}

func TestLimitPerToolDoesNotSetPrincipalsFree(t *testing.T) {
	h := limited(t, withClock(newClock()), PerTool(1000, time.Second))
	for range DefaultBurst {
		mustPass(t, h, toolCall("a", "x"))
	}
	tooFast(t, h, toolCall("a", "x"))
}
