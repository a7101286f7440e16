package creds

import (
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

const (
	// maxAge is how long a credential that does not expire is kept: a rotation is seen
	// after that time at the latest.
	maxAge = 15 * time.Minute
	// maxLife is how long one that expires later is kept.
	maxLife = time.Hour
	// maxMargin is how long before its end a credential is no longer given out if another
	// can be had: the call it is for has to end in time too.
	maxMargin = time.Minute
)

// An instant is a time by both clocks. The one on the wall can be set back and forth,
// and is the one that issuers speak of; the other stands still while a computer sleeps.
type instant struct {
	wall time.Time
	mono time.Duration
}

var epoch = time.Now()

func realClock() instant {
	now := time.Now()
	// Without Round(0), an end that a provider made of time.Now is compared by the other
	// clock.
	return instant{now.Round(0), now.Sub(epoch)}
}

// A phase of a credential's life.
type phase int

const (
	fresh phase = iota // used
	soft               // used, while another is asked for
	hard               // used only if no other can be had
	dead               // never used
)

// A life says when a credential passes from phase to phase.
type life struct {
	soft, hard, dead time.Duration
	until            time.Time // zero: does not expire
}

var errExpired = errors.New("the provider issued a credential that has expired: if it has not, this machine's clock is ahead")

// lifeOf divides the time between now and the end. How much of it is fresh is random,
// so that what was issued together is not renewed together.
func lifeOf(now instant, expires time.Time, random float64) (life, error) {
	span := maxAge
	if !expires.IsZero() {
		if span = min(expires.Sub(now.wall), maxLife); span <= 0 {
			return life{}, errExpired
		}
	}
	margin := min(max(span/10, maxMargin), span/5)
	fresh := time.Duration((0.6 + 0.2*random) * float64(span))
	return life{now.mono + fresh, now.mono + span - margin, now.mono + span, expires}, nil
}

// phase goes by whichever clock says that it is later: one was set back, or the other
// stood still.
func (l life) phase(now instant) phase {
	switch {
	case now.mono >= l.dead || !l.until.IsZero() && !now.wall.Before(l.until):
		return dead
	case now.mono >= l.hard:
		return hard
	case now.mono >= l.soft:
		return soft
	}
	return fresh
}

// backoff is the pause after the nth failure: anything up to half a second that
// doubles to 30, so that many who failed together do not come back together.
func backoff(failures int, random float64) time.Duration {
	longest := min(500*time.Millisecond<<min(failures-1, 6), 30*time.Second)
	return time.Duration(random * float64(longest))
}

func random() float64 { return rand.Float64() } //nolint:gosec // spreads load, protects nothing

// wholeLife is the life of a credential of one call: it is used to its end.
func wholeLife(now instant, expires time.Time) (life, error) {
	end := time.Duration(math.MaxInt64)
	if !expires.IsZero() {
		span := expires.Sub(now.wall)
		if span <= 0 {
			return life{}, errExpired
		}
		if end = now.mono + span; end < now.mono {
			end = math.MaxInt64
		}
	}
	return life{end, end, end, expires}, nil
}
