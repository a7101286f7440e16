package httpx

import (
	"sync/atomic"
	"testing"
	"time"
)

// A Stopwatch measures the time that the process has lived: one during which the machine
// held it up counts as a beat, however long that was. So what is promised within a time can
// be held against it on a busy machine too.
type Stopwatch struct{ beats atomic.Int64 }

const beat = 20 * time.Millisecond

// NewStopwatch starts one. It runs until the test ends.
func NewStopwatch(tb testing.TB) *Stopwatch {
	tb.Helper()
	w := &Stopwatch{}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(beat) // it drops what nobody was there to take
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				w.beats.Add(1)
			}
		}
	}()
	tb.Cleanup(func() { close(stop); <-stopped })
	return w
}

// Lived returns what has passed since the start.
func (w *Stopwatch) Lived() time.Duration { return time.Duration(w.beats.Load()) * beat }
