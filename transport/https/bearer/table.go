package bearer

import (
	"sync"
	"time"
)

// idle is how long a grant that nobody asks for is kept.
const idle = 2 * time.Minute

// A table keeps verified tokens, by their SHA-256. When it is full of tokens in use,
// further ones are not kept, and cost their verification each time.
type table struct {
	most int

	mu     sync.RWMutex
	grants map[tokenID]*grant
	swept  time.Time
}

func newTable(most int) *table { return &table{most: most, grants: make(map[tokenID]*grant)} }

func (t *table) get(id tokenID) *grant {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.grants[id]
}

// put keeps a grant and returns it, or the one that is kept of the same token and key: a
// stream may have its identity.
func (t *table) put(g *grant, now time.Time) *grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	have := t.grants[g.id]
	if have != nil && have.key == g.key && !have.over(now) {
		return have
	}
	g.seen.Store(now.UnixNano())
	if have == nil && len(t.grants) >= t.most && now.Sub(t.swept) >= time.Second {
		t.sweep(now)
	}
	if have != nil || len(t.grants) < t.most {
		t.grants[g.id] = g
	}
	return g
}

// clean drops what is over or not in use.
func (t *table) clean(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
}

func (t *table) sweep(now time.Time) {
	t.swept = now
	for id, g := range t.grants {
		if now.UnixNano()-g.seen.Load() > int64(idle) || g.over(now) {
			delete(t.grants, id)
		}
	}
}

// due returns the grants in use that an issuer with introspection should be asked about again.
func (t *table) due(i *authority, now time.Time) []*grant {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var due []*grant
	for _, g := range t.grants {
		if g.issuer == i && !g.ended.Load() && g.isLive(now) &&
			now.UnixNano()-g.confirmed.Load() >= int64(i.ask.Fresh/2) {
			due = append(due, g)
		}
	}
	return due
}
