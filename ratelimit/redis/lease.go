package redis

import (
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

const (
	// leaseLife is how long permits taken in advance may be used. Then they are
	// lost, which the next ones, taken one by one, make up for.
	leaseLife = time.Second
	// refusalLife bounds for how long a refusal is repeated without asking, should
	// somebody raise the limit or clear the bucket meanwhile.
	refusalLife = time.Second
	// maxLeases bounds the table. A bucket without a place is asked for in Redis.
	maxLeases = 10_000
	// sweepPause bounds how often a full table is searched for what has run out.
	sweepPause = 100 * time.Millisecond
)

// A lease is what this replica knows of a bucket: permits it has taken in advance,
// or that there are none for a while.
type lease struct {
	interval time.Duration
	burst    int

	spare  int           // permits left
	block  int           // permits taken with the last question; the next are twice as many
	until  time.Duration // end of the permits' life
	empty  time.Duration // no permit before this
	doubt  time.Duration // when that is to be asked again
	asking bool          // a question for spare permits is under way
}

// leases is a table under one lock, which is held for a few look-ups.
type leases struct {
	most int // permits in a block

	mu    sync.Mutex
	table map[string]*lease
	swept time.Duration
	count Stats
}

// A plan says, for each bucket of a call that Redis is asked about, what to ask for.
type plan struct {
	need [most]bool // a permit; else a spare one has been taken
	want [most]int  // spare permits beside it
	of   [most]*lease
}

// asks reports whether a bucket is part of the question at all.
func (p *plan) asks(i int) bool { return p.need[i] || p.want[i] > 0 }

func newLeases(n int) *leases { return &leases{most: n, table: make(map[string]*lease)} }

// decide passes a call that needs only permits at hand, or refuses one whose bucket
// is known to be empty. Otherwise it fills in the plan, and granted, refused or failed
// must follow.
func (l *leases) decide(now time.Duration, req *ratelimit.Request, p *plan) (v ratelimit.Verdict, decided bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	missing := len(req.Reservations) > 0
	for i := range req.Buckets {
		e := l.of(now, &req.Buckets[i])
		p.of[i] = e
		if e == nil {
			missing = true
			continue
		}
		if wait := e.empty - now; wait > v.Bucket.Wait && now < e.doubt {
			v.Bucket = ratelimit.Refusal{Wait: wait, Index: i}
		}
		missing = missing || e.spare == 0
	}
	if v.Bucket.Refused() {
		l.count.Refused++
		return v, true
	}
	if !missing && l.spend(req, p) {
		l.count.Leased++
		v.OK = true
		return v, true
	}
	l.count.Asked++
	for i := range req.Buckets {
		l.prepare(p, i, len(req.Reservations) == 0)
	}
	return v, false
}

// spend takes a spare permit of each bucket. It fails if two are the same and have
// one permit.
func (l *leases) spend(req *ratelimit.Request, p *plan) bool {
	for i := range req.Buckets {
		if p.of[i].spare == 0 {
			for _, e := range p.of[:i] {
				e.spare++
			}
			return false
		}
		p.of[i].spare--
	}
	return true
}

// prepare takes a spare permit of a bucket where there is one, and otherwise plans
// to ask for one. Where a bucket is used again and again it plans to ask for a block,
// twice the last one; one that is half used up is filled up on this occasion. A call
// that reserves asks for no block: the next one will have to ask anyway.
func (l *leases) prepare(p *plan, i int, block bool) {
	e := p.of[i]
	p.need[i] = e == nil || e.spare == 0
	switch {
	case !p.need[i]:
		e.spare--
		if block && !e.asking && e.spare < e.block/2 {
			p.want[i] = e.block - 1 - e.spare
		}
	case block && e != nil && e.block > 0 && !e.asking:
		p.want[i] = min(2*e.block, l.most) - 1
	}
	if p.want[i] > 0 {
		e.asking = true
	}
}

// of finds the lease of a bucket, or makes one; nil if the table is full.
func (l *leases) of(now time.Duration, b *ratelimit.Bucket) *lease {
	e := l.table[b.Key]
	if e == nil {
		if len(l.table) >= maxLeases && !l.sweep(now) {
			return nil
		}
		e = &lease{interval: b.Interval, burst: b.Burst}
		l.table[b.Key] = e
	}
	if e.interval != b.Interval || e.burst != b.Burst { // the limit was changed
		e.interval, e.burst, e.until, e.doubt = b.Interval, b.Burst, 0, 0
	}
	if e.until <= now {
		e.spare, e.block = 0, 0
	}
	return e
}

// sweep removes leases that have run out, and reports whether there is room.
func (l *leases) sweep(now time.Duration) bool {
	if now < l.swept {
		return false
	}
	l.swept = now + sweepPause
	for key, e := range l.table {
		if e.until <= now && e.doubt <= now && !e.asking {
			delete(l.table, key)
		}
	}
	return len(l.table) < maxLeases
}

// failed undoes a plan that Redis did not decide about.
func (l *leases) failed(req *ratelimit.Request, p *plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.Failed++
	l.undo(req, p)
}

// undo puts spare permits back that were not used after all.
func (l *leases) undo(req *ratelimit.Request, p *plan) {
	for i := range req.Buckets {
		if p.of[i] == nil {
			continue
		}
		if e := p.of[i]; !p.need[i] { // another block may have come meanwhile
			e.spare = max(e.spare, min(e.spare+1, e.block-1))
		}
		if p.want[i] > 0 {
			p.of[i].asking = false
		}
	}
}

// refused keeps the waits that Redis answered, one for each bucket.
func (l *leases) refused(now time.Duration, req *ratelimit.Request, p *plan, waits *[most]time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.undo(req, p)
	for i := range req.Buckets {
		if e := p.of[i]; e != nil && waits[i] > 0 {
			e.empty, e.doubt, e.block = now+waits[i], now+min(waits[i], refusalLife), 0
		}
	}
}

// granted keeps spare permits. Their life began when they were asked for.
func (l *leases) granted(sent time.Duration, req *ratelimit.Request, p *plan, spare *[most]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range req.Buckets {
		e := p.of[i]
		if e == nil {
			continue
		}
		if p.want[i] > 0 {
			e.asking = false
		}
		switch b := &req.Buckets[i]; {
		case e.interval != b.Interval || e.burst != b.Burst: // the limit was changed meanwhile
		case p.want[i] > 0:
			e.spare += spare[i]
			e.block, e.until = 1+e.spare, sent+leaseLife
		case p.need[i] && e.block == 0:
			e.block, e.until = 1, sent+leaseLife
		}
	}
}

// drain empties the table and returns what was in it.
func (l *leases) drain(now time.Duration) map[string]*lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.table
	l.table = make(map[string]*lease)
	for key, e := range all {
		if e.spare == 0 || e.until <= now {
			delete(all, key)
		}
	}
	return all
}

func (l *leases) stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}
