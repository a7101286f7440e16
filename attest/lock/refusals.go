package lock

import (
	"context"
	"sync"
	"time"
)

// maxRecords bounds the records of one sort, of one connection, in a minute. A server
// can cause refusals as fast as it writes; it must not fill the log with them, nor keep
// those of another sort out of it.
const maxRecords = 100

// A tally counts the records of the current minute by their sort.
type tally struct {
	mu    sync.Mutex
	sorts map[string]*minute
}

type minute struct {
	since time.Time
	count int
}

// admit counts a record. It reports whether it may be made, whether it is the last one
// of the minute, and how many were left out in the minute before.
func (t *tally) admit(sort string, now time.Time) (ok, last bool, left int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.sorts[sort]
	if m == nil {
		if t.sorts == nil {
			t.sorts = make(map[string]*minute)
		}
		m = &minute{since: now}
		t.sorts[sort] = m
	}
	if age := now.Sub(m.since); age >= time.Minute || age < 0 {
		left = max(0, m.count-maxRecords)
		*m = minute{since: now}
	}
	m.count++
	return m.count <= maxRecords, m.count == maxRecords, left
}

// record tells the log of a refusal, unless there were too many of its sort.
func (p *pins) record(ctx context.Context, message, code string, attrs ...any) {
	ok, last, left := p.records.admit(message+code, p.now())
	if left > 0 {
		p.log.ErrorContext(ctx, "refusals were not logged", "server", p.server, "code", code, "count", left)
	}
	if !ok {
		return
	}
	p.log.ErrorContext(ctx, message, append([]any{"server", p.server, "code", code}, attrs...)...)
	if last {
		p.log.ErrorContext(ctx, "further refusals of this minute are not logged", "server", p.server, "code", code)
	}
}
