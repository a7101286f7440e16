package aws

import (
	"iter"
	"time"
)

// limits are what a service takes in one request. Where a service states a limit
// in "KB" or "MB" and its API model has no number, it is read as the smaller of
// the two meanings.
type limits struct {
	entries  int           // in a request
	bytes    int           // of a request: the sum over its entries
	entry    int           // bytes of one entry
	overhead int           // bytes that every entry counts on top of its data
	span     time.Duration // between first and last entry of a request; zero is any
}

// size is what an entry counts of a request. The id of a CloudTrail event is in its
// data and counted twice, which is the safe side.
func (l *limits) size(e *entry) int { return len(e.data) + len(e.key) + l.overhead }

// split cuts entries into requests, keeping their order. It expects that each
// entry fits by itself.
func (l *limits) split(entries []entry) iter.Seq[[]entry] {
	return func(yield func([]entry) bool) {
		start, size := 0, 0
		for i := range entries {
			n := l.size(&entries[i])
			full := i-start == l.entries || size+n > l.bytes ||
				l.span > 0 && entries[i].at.Sub(entries[start].at) > l.span
			if full && i > start {
				if !yield(entries[start:i:i]) {
					return
				}
				start, size = i, 0
			}
			size += n
		}
		if start < len(entries) {
			yield(entries[start:])
		}
	}
}
