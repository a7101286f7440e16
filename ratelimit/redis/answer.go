package redis

import "fmt"

// An answer is the list of integers that a script returns: a verdict, the server's
// time in microseconds, and more. What it lacks reads as a fault, not as zero.
type answer struct {
	verdict int64
	time    int64
	rest    []int64
	fault   error
}

// The verdicts of the scripts.
const (
	passed    = 0
	limited   = 1 // buckets refuse
	untimely  = 2 // the caller has the time wrong, nothing was done
	overspent = 3 // reservations refuse
	expired   = 4
)

// maxAnswer is more than 8 buckets and 8 accounts of 17 slots each can need.
const maxAnswer = 1024

// year10000 in microseconds: no time is later.
const year10000 = 253402300800 * 1_000_000

func decode(got any) (*answer, error) {
	list, ok := got.([]any)
	if !ok || len(list) < 2 || len(list) > maxAnswer {
		return nil, fmt.Errorf("%w: want a list of 2 to %d integers, got %T of %d", errFaulty, maxAnswer, got, len(list))
	}
	n := make([]int64, len(list))
	for i, v := range list {
		if n[i], ok = v.(int64); !ok {
			return nil, fmt.Errorf("%w: want integers only, got %T", errFaulty, v)
		}
	}
	a := &answer{verdict: n[0], time: n[1], rest: n[2:]}
	if a.verdict < passed || a.verdict > expired || a.time <= 0 || a.time >= year10000 {
		return nil, fmt.Errorf("%w: verdict %d at %d µs", errFaulty, a.verdict, a.time)
	}
	return a, nil
}

// next reads an integer between two bounds.
func (a *answer) next(low, high int64) int64 {
	switch {
	case len(a.rest) == 0:
		a.fault = fmt.Errorf("%w: it is too short", errFaulty)
		return low
	case a.rest[0] < low || a.rest[0] > high:
		a.fault = fmt.Errorf("%w: %d is not within %d and %d", errFaulty, a.rest[0], low, high)
		return low
	}
	n := a.rest[0]
	a.rest = a.rest[1:]
	return n
}
