package ratelimit

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// A Trip says when the circuit breaker of a tool opens. The zero value means the
// defaults.
//
// A failure is an error of the handler that is no refusal, a panic in it, the end of
// its deadline, and a call that takes longer than Slow. Neither failure nor success
// is what the caller brought about: a [mcpsec.Denial], a call the caller cancelled,
// error -32602 (invalid params), and a result with isError.
type Trip struct {
	// Failures in a row open the breaker. 0 means DefaultFailures.
	Failures uint32
	// Percent, if not 0, opens the breaker also when that share of the calls in the
	// Window failed, and there were MinCalls at least. 0 means DefaultWindow and
	// DefaultMinCalls.
	Percent  int
	Window   time.Duration
	MinCalls uint32
	// Slow, if not 0, is how long a call may take before it counts as failed, at that
	// moment and whatever becomes of it.
	Slow time.Duration
	// OpenFor is how long the breaker stays open before calls are let through to try.
	// 0 means DefaultOpenFor.
	OpenFor time.Duration
	// Trials is how many calls are let through to try; all of them must succeed for
	// the breaker to close. 0 means 1.
	Trials uint32
	// CountToolErrors counts results with isError as failures. Bad arguments give
	// such results too, so with it any caller can open the breaker for all. Without
	// it an error that a typed handler returns, which the SDK turns into such a
	// result, opens nothing.
	CountToolErrors bool
	// IgnoreErrors does not count errors that a handler returns, IgnoreTimeouts not
	// the end of its deadline. A panic always counts.
	IgnoreErrors   bool
	IgnoreTimeouts bool
}

const (
	// trialHint is what a caller is told to wait while others try the tool.
	trialHint = time.Second
	// trialLease bounds a call whose context has no deadline.
	trialLease = 5 * time.Minute
	// windowBuckets is how many parts of its window a breaker counts by.
	windowBuckets = 10
)

func (t Trip) check() error {
	switch {
	case t.OpenFor < 0:
		return errors.New("field OpenFor must not be negative: 0 means the default")
	case t.Percent < 0 || t.Percent > 100:
		return errors.New("field Percent is between 0 and 100")
	case t.Percent == 0 && (t.Window != 0 || t.MinCalls != 0):
		return errors.New("fields Window and MinCalls go with Percent: set it")
	case t.Window < 0 || t.Window > 0 && t.Window < windowBuckets*time.Millisecond:
		return errors.New("field Window is at least 10 ms")
	case t.Slow < 0:
		return errors.New("field Slow must not be negative: 0 means that no call is too slow")
	}
	return nil
}

// withDefaults fills in what the zero value stands for.
func (t Trip) withDefaults() Trip {
	if t.Failures == 0 {
		t.Failures = DefaultFailures
	}
	if t.OpenFor == 0 {
		t.OpenFor = DefaultOpenFor
	}
	if t.Trials == 0 {
		t.Trials = 1
	}
	if t.Percent > 0 {
		if t.Window == 0 {
			t.Window = DefaultWindow
		}
		if t.MinCalls == 0 {
			t.MinCalls = DefaultMinCalls
		}
	}
	return t
}

// ready says whether the counts of a closed breaker open it.
func (t Trip) ready(c gobreaker.Counts) bool {
	if c.ConsecutiveFailures >= t.Failures {
		return true
	}
	judged := c.TotalSuccesses + c.TotalFailures
	return t.Percent > 0 && judged >= t.MinCalls &&
		uint64(c.TotalFailures)*100 >= uint64(judged)*uint64(t.Percent)
}
