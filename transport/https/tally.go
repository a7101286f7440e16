package https

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// A tally counts what strangers can cause in any number, and what therefore has no record
// each: the log says from time to time how often it was.
type tally struct {
	what  string
	count atomic.Int64
	last  atomic.Pointer[string] // address
	said  time.Time              // the sweeper's own
}

// tellEvery is how often a tally is told.
const tellEvery = time.Minute

func (t *tally) add(address string) {
	t.last.Store(&address)
	t.count.Add(1)
}

// tell logs what was counted since the last time, if that is long enough ago.
func (t *tally) tell(log *slog.Logger, now time.Time) {
	if t.count.Load() == 0 || now.Sub(t.said) < tellEvery {
		return
	}
	t.said = now
	log.Warn("https: "+t.what, "count", t.count.Swap(0), "last", *t.last.Load())
}
