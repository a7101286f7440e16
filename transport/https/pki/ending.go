package pki

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A term is how long something from a source is good, and when that is told ahead.
type term struct {
	what   string // with the source before it
	remedy string
	until  time.Time
	ahead  []time.Duration // of until
}

// lastWarning comes that long before the end, unless the one before it comes later.
const lastWarning = 7 * 24 * time.Hour

// certified returns when the end of a certificate is told ahead: when three quarters of its life
// have passed, when nine tenths have, and, since a tenth may be long, a week before it.
func certified(from, until time.Time) []time.Duration {
	life := until.Sub(from)
	return []time.Duration{life / 4, life / 10, min(life/10, lastWarning)}
}

// passed returns how many of the times to tell it have come. The last is the end itself.
func (t *term) passed(now time.Time) int {
	n := 0
	for _, d := range t.ahead {
		if !now.Before(t.until.Add(-d)) {
			n++
		}
	}
	if now.After(t.until) {
		n++
	}
	return n
}

func (t *term) key() string { return t.what + t.until.UTC().String() }

// say returns what is to be told at a time.
func (t *term) say(now time.Time) string {
	until := t.until.UTC().Format(time.RFC3339)
	if now.After(t.until) {
		return fmt.Sprintf("%s has ended, at %s: %s", t.what, until, t.remedy)
	}
	left := t.until.Sub(now).Truncate(time.Second)
	span := left.String()
	if day := 24 * time.Hour; left >= 2*day {
		span = fmt.Sprintf("%d days", left/day)
	}
	return fmt.Sprintf("%s ends in %s, at %s: %s", t.what, span, until, t.remedy)
}

// An almanac tells of ends ahead: of each, once for each of its times. The zero value has
// told nothing. It is for one goroutine.
type almanac struct {
	told map[string]int // of terms that still stand
	last time.Time      // when it was asked last
}

// backwards is how far a clock goes back that was wrong before: what it made known too early
// is told again in its time.
const backwards = 24 * time.Hour

// due returns what is to be told now, or nil. Of several ends it tells the first, and how many
// more there are.
func (a *almanac) due(terms []term, now time.Time) error {
	if now.Before(a.last.Add(-backwards)) {
		a.told = nil
		for i := range terms { // what has come by the right clock was told before
			if n := terms[i].passed(now); n > 0 {
				if a.told == nil {
					a.told = make(map[string]int)
				}
				a.told[terms[i].key()] = n
			}
		}
	}
	a.last = now
	told := make(map[string]int)
	var news []*term
	for i := range terms {
		t := &terms[i]
		n := t.passed(now)
		if n == 0 && len(a.told) == 0 {
			continue
		}
		key := t.key()
		before := a.told[key] // which stays if the clock goes back
		if n > before {
			news = append(news, t)
		}
		if n = max(n, before); n > 0 {
			told[key] = n
		}
	}
	a.told = told
	if len(news) == 0 {
		return nil
	}
	first := slices.MinFunc(news, func(a, b *term) int { return cmp.Compare(a.until.Unix(), b.until.Unix()) })
	if len(news) == 1 {
		return fmt.Errorf("pki: %s", first.say(now))
	}
	return fmt.Errorf("pki: %s (and %d more)", first.say(now), len(news)-1)
}
