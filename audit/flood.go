package audit

import (
	"context"
	"net"
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

	mu       sync.Mutex
	kinds    map[floodKey]*flow
	counting bool
	total    int // recorded one by one in this stretch
	ends     time.Time
	timer    *time.Timer
	closed   bool
	ticks    sync.WaitGroup
}

type floodKey struct {
	rung, issuer, subject, client, tenant string
	code, host                            string
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
	var due []*flow
	defer func() { f.tell(due, e.Time) }() // after the lock: sinks take their time
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	if !e.Time.Before(f.ends) {
		due = f.take(e.Time)
	}
	p := &e.Principal
	key := floodKey{p.Rung, p.Issuer, p.Subject, p.Client, p.Tenant, e.Code, ""}
	if p.Subject == "" { // whoever is nobody is told apart by address
		key.host, _, _ = net.SplitHostPort(e.Source.Address)
	}
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
		f.counting = true
		f.arm()
	}
	if s.Method != e.Method {
		s.Method = "" // of several
	}
	if s.Control != e.Control {
		s.Control = ""
	}
	s.Count++
	s.Last = e.Time
}

// arm sees to it that what was counted is recorded at the end of the stretch.
func (f *flood) arm() {
	if f.timer == nil {
		f.ticks.Add(1)
		f.timer = time.AfterFunc(f.ends.Sub(f.log.now()), f.tick)
	}
}

func (f *flood) tick() {
	defer f.ticks.Done()
	now := f.log.now()
	f.mu.Lock()
	f.timer = nil
	var due []*flow
	switch {
	case f.closed:
	case !now.Before(f.ends):
		due = f.take(now)
	case f.counting: // a refusal has begun another stretch meanwhile
		f.arm()
	}
	f.mu.Unlock()
	f.tell(due, now)
}

// take takes out what was counted, and begins another stretch.
func (f *flood) take(now time.Time) (due []*flow) {
	for _, w := range f.kinds {
		if w.event.Count > 0 {
			due = append(due, w)
		}
	}
	clear(f.kinds)
	f.counting, f.total, f.ends = false, 0, now.Add(f.limit.per)
	return due
}

// tell records what was counted.
func (f *flood) tell(due []*flow, now time.Time) {
	for _, w := range due {
		w.event.Time = now
		_ = f.log.record(context.Background(), &w.event)
	}
}

// close records what was counted. What is refused from here on is recorded, or not,
// one by one.
func (f *flood) close() {
	now := f.log.now()
	f.mu.Lock()
	var due []*flow
	if !f.closed {
		f.closed = true
		if f.timer != nil && f.timer.Stop() {
			f.ticks.Done()
		}
		due = f.take(now)
	}
	f.mu.Unlock()
	f.tell(due, now)
	f.ticks.Wait()
}
