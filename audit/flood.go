package audit

import (
	"context"
	"sync"
	"time"
)

type floodLimit struct {
	most int
	per  time.Duration
}

const (
	// floodKeys bounds the kinds of refusal told apart in one stretch of time. Those
	// beyond it are counted together, by code.
	floodKeys = 1024
	// floodTotal is how many times as many refusals as of one kind are recorded one
	// by one of all kinds together.
	floodTotal = 100
)

// A flood keeps refusals from filling the disk: in each stretch of time the first of
// a kind are recorded, and the others counted.
type flood struct {
	log   *Logger
	limit floodLimit

	mu     sync.Mutex
	kinds  map[floodKey]*flow
	total  int // recorded one by one in this stretch
	ends   time.Time
	timer  *time.Timer
	closed bool
	ticks  sync.WaitGroup
}

type floodKey struct {
	rung, issuer, subject, client, tenant string
	code                                  string
}

// A flow is what came of one kind.
type flow struct {
	seen  int
	event Event // stands for what was counted
}

func newFlood(l *Logger, limit floodLimit) *flood {
	return &flood{log: l, limit: limit, kinds: make(map[floodKey]*flow)}
}

// swallows reports whether an outcome is a refusal that is counted instead of
// recorded. An outcome whose attempt is on record is never swallowed: it would leave
// that open.
func (f *flood) swallows(e *Event) bool {
	if f == nil || e.Decision != Refused || e.attempted {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	if !e.Time.Before(f.ends) {
		f.flush(e.Time)
	}
	p := &e.Principal
	key := floodKey{p.Rung, p.Issuer, p.Subject, p.Client, p.Tenant, e.Code}
	w := f.kinds[key]
	if w == nil {
		if len(f.kinds) >= floodKeys {
			key = floodKey{code: e.Code} // codes are the program's own, and few
			w = f.kinds[key]
		}
		if w == nil {
			w = &flow{}
			f.kinds[key] = w
		}
	}
	if w.seen++; w.seen <= f.limit.most && f.total < floodTotal*f.limit.most {
		f.total++
		return false
	}
	f.count(w, key, e)
	return true
}

// count adds a refusal to those that one event will stand for.
func (f *flood) count(w *flow, key floodKey, e *Event) {
	s := &w.event
	if s.Count == 0 {
		*s = Event{
			Kind: Suppressed, Decision: Refused, Code: e.Code, Control: e.Control, Method: e.Method, First: e.Time,
			Reason: "too many refusals of one kind to record each", Policy: e.Policy,
		}
		if key.rung != "" {
			s.Principal, s.Source.Transport = e.Principal, e.Source.Transport
		}
		f.arm()
	}
	if s.Method != e.Method {
		s.Method = "" // of several
	}
	s.Count++
	s.Last = e.Time
}

// arm sees to it that what was counted is recorded in time.
func (f *flood) arm() {
	if f.timer != nil {
		return
	}
	f.ticks.Add(1)
	f.timer = time.AfterFunc(f.limit.per, func() {
		defer f.ticks.Done()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.timer = nil
		f.flush(f.log.now())
	})
}

// flush records what was counted, and begins another stretch.
func (f *flood) flush(now time.Time) {
	for _, w := range f.kinds {
		if w.event.Count > 0 {
			w.event.Time = now
			if err := f.log.record(context.Background(), &w.event); err != nil && f.log.ledger != nil {
				// The ledger has counted the event, which stands for more than one.
				f.log.ledger.CountLost(Bounded, "a count of refusals could not be recorded", w.event.Count-1)
			}
		}
	}
	clear(f.kinds)
	f.total, f.ends = 0, now.Add(f.limit.per)
}

// close records what was counted. What is refused from here on is recorded, or not,
// one by one.
func (f *flood) close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		if f.timer != nil && f.timer.Stop() {
			f.ticks.Done()
		}
		f.flush(f.log.now())
	}
	f.mu.Unlock()
	f.ticks.Wait()
}
