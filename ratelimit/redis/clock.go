package redis

import (
	"sync/atomic"
	"time"
)

// A clock estimates the server's time from this machine's. It decides nothing: the
// scripts check what was computed with it against their own time, and answer with
// that when it was wrong. Leases alone are measured by this machine, as durations.
type clock struct {
	now    func() time.Time
	start  time.Time
	offset atomic.Int64 // microseconds between the server's 1970 and start
	known  atomic.Bool
}

func newClock(now func() time.Time) *clock {
	c := &clock{now: now, start: now()}
	c.offset.Store(c.start.UnixMicro())
	return c
}

// local is the time since start, which is never less than 0.
func (c *clock) local() time.Duration { return max(0, c.now().Sub(c.start)) }

// server estimates the server's time.
func (c *clock) server() time.Time {
	return time.UnixMicro(c.local().Microseconds() + c.offset.Load())
}

// learn takes the server's time from an answer to what was sent at a local time.
func (c *clock) learn(sent time.Duration, server int64) {
	c.offset.Store(server - (sent+c.local()).Microseconds()/2)
	c.known.Store(true)
}

// notAfter is the server's time at which what is sent now is out of date: a server
// that hung reads what was sent to it long ago, when nobody waits for the answer.
// 0 while the server's time is not known.
func (c *clock) notAfter(budget time.Duration) int64 {
	if !c.known.Load() {
		return 0
	}
	return c.server().Add(2 * budget).UnixMicro()
}
