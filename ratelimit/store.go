package ratelimit

import (
	"hash/maphash"
	"sync"
	"time"
)

// A bucket is the key of one theoretical arrival time. Names are kept as digests:
// they have one size whatever they are, and the table holds nothing personal.
type bucket struct {
	scope     scope
	who, what digest
}

// A digest is 128 bits of a keyed hash. Unlike with 64, nobody meets a stranger's
// bucket by chance, and without the key, which is made anew for each Limiter,
// nobody can look for one who would.
type digest [2]uint64

// A domain keeps names of different kinds apart: a tool called "tools/list" is not
// the method.
type domain int

const (
	ofPrincipal domain = iota
	ofTool
	ofMethod
	ofQuestion // a method that the server calls on the client
	domains
)

type digester struct{ seeds [domains][2]maphash.Seed }

func newDigester() *digester {
	d := &digester{}
	for i := range d.seeds {
		d.seeds[i] = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	}
	return d
}

func (d *digester) of(in domain, name string) digest {
	s := &d.seeds[in]
	return digest{maphash.String(s[0], name), maphash.String(s[1], name)}
}

// A charge is one call against one limit.
type charge struct {
	bucket bucket
	limit  *limit
}

// A verdict says which limit refused, how long to wait until it does not, and
// whether the bucket was the shared one. Its zero value means yes.
type verdict struct {
	refused *limit
	wait    time.Duration
	shared  bool
}

// maxShards is a power of two. One is enough for a few million decisions a second;
// more keep the sweep of each short.
const maxShards = 64

// sweepPause bounds how often a full shard looks for buckets that have refilled,
// so that a flood of fresh keys cannot make every call pay for a sweep.
const sweepPause = int64(100 * time.Millisecond)

// A store holds the buckets of one process.
type store struct {
	shards   []shard
	overflow shard // one bucket a scope
}

// A shard is a part of the table under a lock of its own. The bucket of a
// principal and those of the principal's tools are in the same one.
type shard struct {
	mu    sync.Mutex
	now   int64 // never goes back, so that a swept bucket stays in the past
	sweep int64 // not before this time
	room  int
	tats  map[bucket]int64
	_     [24]byte // a cache line each
}

func newStore(maxKeys int) *store {
	n := maxShards
	for n > maxKeys {
		n /= 2
	}
	s := &store{shards: make([]shard, n)}
	for i := range s.shards {
		s.shards[i].room = maxKeys / n
		s.shards[i].tats = make(map[bucket]int64)
	}
	s.overflow.room = int(scopes)
	s.overflow.tats = make(map[bucket]int64, scopes)
	return s
}

func (s *store) index(b bucket) int {
	h := b.who[0]
	if b.scope == perTool {
		h = b.what[0]
	}
	return int(h & uint64(len(s.shards)-1)) //nolint:gosec // less than 64
}

// take charges a call that comes at time now, in nanoseconds since any fixed time,
// to every bucket or, if one of them refuses, to none. If several refuse, it
// reports the longest wait: after it, all agree. There is one charge at most for
// each scope, so that two shards at most are concerned.
func (s *store) take(now int64, charges []charge) verdict {
	first, last := len(s.shards), -1
	for i := range charges {
		at := s.index(charges[i].bucket)
		first, last = min(first, at), max(last, at)
	}
	// Locks are taken in one order everywhere: shards upwards, then the overflow.
	low, high := &s.shards[first], &s.shards[last]
	low.mu.Lock()
	low.advance(now)
	if high != low {
		high.mu.Lock()
		high.advance(now)
	}
	v := s.decide(now, charges)
	if high != low {
		high.mu.Unlock()
	}
	low.mu.Unlock()
	return v
}

// A row is a bucket that was looked up, and its arrival time after this call.
type row struct {
	in  *shard
	key bucket
	tat int64
}

// decide checks all, then takes all. The shards concerned are locked.
func (s *store) decide(now int64, charges []charge) (v verdict) {
	var rows [scopes]row
	fresh, spilled := 0, false
	for i := range charges {
		l, r := charges[i].limit, row{in: &s.shards[s.index(charges[i].bucket)], key: charges[i].bucket}
		tat, known := r.in.tats[r.key] // 0, the beginning of time, where there is none
		switch {
		case known:
		case len(r.in.tats)+fresh < r.in.room:
			fresh++
		default:
			if !spilled {
				spilled = true
				s.overflow.mu.Lock()
				s.overflow.advance(now)
			}
			r = row{in: &s.overflow, key: bucket{scope: l.scope}}
			tat = r.in.tats[r.key]
		}
		if allowed := tat - l.tolerance; allowed > r.in.now && time.Duration(allowed-now) > v.wait {
			v = verdict{l, time.Duration(allowed - now), r.in == &s.overflow}
		}
		r.tat = max(tat, r.in.now) + l.interval
		rows[i] = r
	}
	if v.refused == nil {
		for _, r := range rows[:len(charges)] {
			r.in.tats[r.key] = r.tat
		}
	}
	if spilled {
		s.overflow.mu.Unlock()
	}
	return v
}

// advance moves the shard's time on and makes room if it is short. Only buckets
// whose theoretical arrival time has passed are removed: for them a bucket and
// none are the same.
func (sh *shard) advance(now int64) {
	sh.now = max(sh.now, now)
	if len(sh.tats)+int(scopes) <= sh.room || sh.now < sh.sweep {
		return
	}
	sh.sweep = sh.now + sweepPause
	for b, tat := range sh.tats {
		if tat <= sh.now {
			delete(sh.tats, b)
		}
	}
}
