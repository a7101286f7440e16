package ratelimit

import (
	"math/bits"
	"sync"
	"time"
)

// A charge is one call against one limit.
type charge struct {
	key   digest
	limit *limit
	shard int
}

// A verdict says which limit refused, how long to wait until it does not, and
// whether the bucket was the shared one. Its zero value means yes.
type verdict struct {
	refused *limit
	wait    time.Duration
	shared  bool
}

const (
	// maxLimits bounds the limits that one call can meet.
	maxLimits = 8
	// maxShards is a power of two. One is enough for a few million decisions a second;
	// more keep the sweep of each short.
	maxShards = 64
	// sweepPause bounds how often a full shard looks for buckets that have refilled,
	// so that a flood of fresh keys cannot make every call pay for a sweep.
	sweepPause = int64(100 * time.Millisecond)
	// maxSpills bounds the buckets that are shared for lack of room.
	maxSpills = 256
	// minCells is the size of a shard before its first bucket.
	minCells = 2 * maxLimits
)

// A table holds the buckets of one process: for each key one number, the
// theoretical arrival time. A bucket that is full again and none at all are the
// same, so that those can be swept and nothing is lost; a bucket in use is never
// given up. Who finds no room shares one bucket more for each limit.
type table struct {
	shards   []shard
	overflow shard
}

// A cell is one bucket. A key of zero means that there is none.
type cell struct {
	key digest
	tat int64 // nanoseconds since the table's beginning of time
}

// A shard is a hash table with open addressing and linear probing, at most three
// quarters full: a map would need three times the memory, and has pointers that the
// garbage collector follows.
type shard struct {
	mu    sync.Mutex
	now   int64 // never goes back, so that a swept bucket stays in the past
	sweep int64 // not before this time
	room  int   // most buckets
	used  int
	cells []cell
} // 64 bytes: a cache line each

// A spill is the number of a limit's shared bucket.
type spill uint8

func (s spill) key() digest {
	n := uint64(s) + 1
	return digest{n, n * 0x9e3779b97f4a7c15} // spread over the table
}

func newTable(maxKeys int) *table {
	n := maxShards
	for n > maxKeys {
		n /= 2
	}
	t := &table{shards: make([]shard, n)}
	for i := range t.shards {
		t.shards[i].room = maxKeys / n
	}
	t.overflow.room = maxSpills
	return t
}

func (t *table) shard(home uint64) int { return int(home & uint64(len(t.shards)-1)) } //nolint:gosec // less than 64

// take charges a call that comes at time now, in nanoseconds since any fixed time,
// to every bucket or, if one of them refuses, to none. If several refuse, it
// reports the longest wait: after it, all agree.
func (t *table) take(now int64, charges []charge) (v verdict) {
	// Locks are taken in one order everywhere: shards upwards, then the overflow.
	var order [maxLimits]int
	n := 0
	for i := range charges {
		n = insert(&order, n, charges[i].shard)
	}
	for _, i := range order[:n] {
		sh := &t.shards[i]
		sh.mu.Lock()
		sh.advance(now)
	}
	v = t.decide(now, charges)
	for _, i := range order[:n] {
		t.shards[i].mu.Unlock()
	}
	return v
}

// insert adds a number to n that are sorted and differ.
func insert(order *[maxLimits]int, n, number int) int {
	at := n
	for at > 0 && order[at-1] >= number {
		at--
	}
	if at < n && order[at] == number {
		return n
	}
	copy(order[at+1:n+1], order[at:n])
	order[at] = number
	return n + 1
}

// A row is a bucket that was looked up, and its arrival time after this call.
type row struct {
	in  *shard
	key digest
	at  int // the cell, or where one is made
	tat int64
}

// decide checks all, then takes all. The shards concerned are locked.
func (t *table) decide(now int64, charges []charge) (v verdict) {
	var rows [maxLimits]row
	fresh, spilled := 0, false
	for i := range charges {
		l := charges[i].limit
		r := row{in: &t.shards[charges[i].shard], key: charges[i].key}
		var known bool
		switch r.at, known = r.in.find(r.key); {
		case known:
		case r.in.used+fresh < r.in.room:
			fresh++
		default:
			if !spilled {
				spilled = true
				t.overflow.mu.Lock()
				t.overflow.advance(now)
			}
			r.in, r.key = &t.overflow, l.spill.key()
			r.at, _ = r.in.find(r.key)
		}
		tat := r.in.cells[r.at].tat // 0, the beginning of time, where there is none
		if allowed := tat - l.tolerance; allowed > r.in.now && time.Duration(allowed-now) > v.wait {
			v = verdict{l, time.Duration(allowed - now), r.in == &t.overflow}
		}
		r.tat = max(tat, r.in.now) + l.interval
		rows[i] = r
	}
	if v.refused == nil {
		for i := range charges {
			rows[i].in.put(&rows[i])
		}
	}
	if spilled {
		t.overflow.mu.Unlock()
	}
	return v
}

// find returns the cell of a key, or the free one where it would go.
func (sh *shard) find(key digest) (at int, known bool) {
	high, _ := bits.Mul64(key[1], uint64(len(sh.cells)))
	at = int(high) //nolint:gosec // less than the length
	for {
		switch sh.cells[at].key {
		case key:
			return at, true
		case digest{}:
			return at, false
		}
		if at++; at == len(sh.cells) {
			at = 0
		}
	}
}

// put writes a row back. Another new bucket of the same call may have taken the
// cell meanwhile.
func (sh *shard) put(r *row) {
	c := &sh.cells[r.at]
	if c.key != r.key {
		if c.key != (digest{}) {
			r.at, _ = sh.find(r.key)
			c = &sh.cells[r.at]
		}
		c.key = r.key
		sh.used++
	}
	c.tat = r.tat
}

// advance moves the shard's time on and makes room for the buckets of one call.
func (sh *shard) advance(now int64) {
	sh.now = max(sh.now, now)
	if 4*(sh.used+maxLimits) > 3*len(sh.cells) || sh.used+maxLimits > sh.room && sh.now >= sh.sweep {
		sh.rebuild()
	}
}

// rebuild sweeps the buckets whose theoretical arrival time has passed, and gives
// the rest a table that is half full. A table that has all the room it may have
// stays as it is for a while.
func (sh *shard) rebuild() {
	most := (sh.room+maxLimits)*4/3 + 1
	if len(sh.cells) >= most && sh.now < sh.sweep {
		return
	}
	sh.sweep = sh.now + sweepPause
	live := 0
	for i := range sh.cells {
		if sh.cells[i].tat > sh.now {
			live++
		}
	}
	old := sh.cells
	sh.cells = make([]cell, max(minCells, min(2*(live+maxLimits), most)))
	sh.used = live
	for i := range old {
		if old[i].tat > sh.now {
			at, _ := sh.find(old[i].key)
			sh.cells[at] = old[i]
		}
	}
}
