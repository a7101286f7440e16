package creds

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func denialOf(err error) string {
	if d := mcpsec.AsDenial(err); d != nil {
		return d.Code
	}
	return ""
}

// A fakeClock has a wall that can be moved apart from the time that passes.
type fakeClock struct {
	mu sync.Mutex
	at instant
}

func (c *fakeClock) read() instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *fakeClock) pass(wall, mono time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = instant{c.at.wall.Add(wall), c.at.mono + mono}
}

// Case 9: what the clocks may do to a credential of 15 minutes.
func TestClocks(t *testing.T) {
	const step = 10 * time.Minute
	for name, test := range map[string]struct {
		ahead      time.Duration // of the issuer's, when it is issued
		wall, mono time.Duration // what passes then
		want       string
	}{
		"nothing happens":                        {0, time.Minute, time.Minute, "k1"},
		"set back, as much time passes":          {0, 0, step, "k1"},
		"set back, and its life passes":          {0, -step, span, "k2"},
		"set back for good":                      {0, -24 * time.Hour, 2 * span, "k2"},
		"set forward past its end":               {0, span, 0, "k2"},
		"asleep past its end":                    {0, 2 * span, time.Second, "k2"},
		"ahead by 10 min: a third of the life":   {step, 4 * time.Minute, 4 * time.Minute, "k2"},
		"ahead by 10 min: no storm":              {step, time.Minute, time.Minute, "k1"},
		"ahead by more than its life: refused":   {span, 0, 0, ""},
		"ahead by an hour: refused":              {time.Hour, 0, 0, ""},
		"behind: no longer than its issuer says": {-step, 27 * time.Minute, 27 * time.Minute, "k2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := &fakeClock{at: instant{time.Unix(1_800_000_000, 0), time.Hour}}
			p := &script{}
			r := newRig(t, expiring{p, func() time.Time { return clock.read().wall.Add(span - test.ahead) }})
			r.in.cache.clock = clock.read
			_, err := r.get()
			if test.want == "" {
				isUnavailable(t, err, "clock is ahead")
				r.close()
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			clock.pass(test.wall, test.mono)
			r.want(test.want)
			r.close()
			p.wiped(t)
		})
	}
}

// An expiring script takes the end of its credentials from elsewhere.
type expiring struct {
	*script
	end func() time.Time
}

func (e expiring) Issue(ctx context.Context, s Spec, r Request) (Material, error) {
	m, err := e.script.Issue(ctx, s, r)
	m.Expires = e.end()
	return m, err
}

// TestPhasesAreInOrder: whatever the life, a credential is fresh first and dead at its
// end, and short lives are used for the most part.
func TestPhasesAreInOrder(t *testing.T) {
	now := instant{time.Unix(1_800_000_000, 0), time.Hour}
	for _, span := range []time.Duration{1, time.Millisecond, time.Second, 5 * time.Second, time.Minute, 15 * time.Minute, time.Hour, 24 * time.Hour} {
		for _, random := range []float64{0, 0.5, 0.999999} {
			l, err := lifeOf(now, now.wall.Add(span), random)
			kept := min(span, maxLife)
			if err != nil || l.soft > l.hard || l.hard > l.dead || l.dead != now.mono+kept || l.hard-now.mono < kept*8/10-1 {
				t.Errorf("%v, %v: %+v, %v", span, random, l, err)
			}
			if p := l.phase(now); p != fresh && span > time.Microsecond {
				t.Errorf("%v: begins as %d", span, p)
			}
			if p := l.phase(instant{now.wall, l.dead}); p != dead {
				t.Errorf("%v: ends as %d", span, p)
			}
		}
	}
	for n := 1; n < 100; n++ {
		if b := backoff(n, 0.999); b <= 0 || b > 30*time.Second || n == 1 && b > 500*time.Millisecond {
			t.Errorf("pause %d: %v", n, b)
		}
	}
}

// An end that a provider made of time.Now is compared by the clock on the wall.
func TestWallIsTheWall(t *testing.T) {
	now := realClock()
	if strings.Contains(now.wall.String(), "m=") {
		t.Error("the wall clock carries a monotonic reading: compared with an Expires made of time.Now() it is not the wall that is asked")
	}
}
