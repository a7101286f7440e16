package creds

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// maxEntries bounds the cache; the credential that was not used for longest goes.
	maxEntries = 4096
	// maxPlan bounds what a provider may make of a request, in bytes.
	maxPlan = 1 << 10
	// idleAfter is when a credential that nobody asks for goes.
	idleAfter = 15 * time.Minute
	// sweepEvery is how often the cache looks for what can go.
	sweepEvery = 30 * time.Second
	// reportEvery is how often a service may refuse what is issued under one plan before
	// it is not issued again.
	reportEvery = time.Minute
)

// A cache keeps credentials from call to call.
type cache struct {
	clock  func() instant
	random func() float64

	mu       sync.Mutex
	entries  map[entryKey]*entry
	recent   entry // the ring's ends: next was used last, prev longest ago
	live     map[*issued]struct{}
	timer    *time.Timer
	closed   bool
	flights  context.Context //nolint:containedctx // ends all flights; those that outlive their call are its own
	ground   context.CancelFunc
	active   int             // goroutines that work for the cache
	idle     chan struct{}   // closed when there are none left of a closed cache
	recalls  []*issued       // to be revoked
	recaller int             // goroutines that revoke
	lost     int             // for which there was no room in recalls
	revoking context.Context //nolint:containedctx // of revocations, which no call waits for
	giveUp   context.CancelFunc
	faults   []error // of revocations while closing

	scrub     bool    // somebody asks for held secrets
	held      []Value // the answer, unless nil
	lingering map[[sha256.Size]byte]*issued
}

// An entryKey is what two requests share only if they may share a credential.
type entryKey struct {
	source *source
	plan   string
}

// An entry is the place of one credential and of its successors.
type entry struct {
	key     entryKey
	private bool // of one call, and not in the cache
	gone    bool
	current *issued // or nil
	flight  *flight // or nil
	used    time.Duration

	failures int
	retryAt  time.Duration
	fault    error // of the last failure

	refused   bool // the service has refused a credential of this entry
	refusedAt time.Duration
	barred    bool // and another one soon after: nothing is issued for a while

	next, prev *entry
}

func newCache() *cache {
	c := &cache{
		clock: realClock, random: random, idle: make(chan struct{}),
		entries: make(map[entryKey]*entry), live: make(map[*issued]struct{}), lingering: make(map[[sha256.Size]byte]*issued),
	}
	c.recent.next, c.recent.prev = &c.recent, &c.recent
	c.flights, c.ground = context.WithCancel(context.Background())
	c.revoking, c.giveUp = context.WithCancel(context.Background())
	return c
}

var errFull = errors.New("too many different credentials are being asked for at once")

// visit finds the place of what is asked for, which it makes if there is room.
func (c *cache) visit(a *ask, now instant) error {
	if a.entry == nil || a.entry.gone {
		e, ok := c.entries[a.key]
		switch {
		case ok:
		case a.key.source.planner == nil:
			e = &entry{key: a.key, private: true}
		case len(c.entries) >= maxEntries && !c.evict():
			return errFull
		default:
			e = &entry{key: a.key}
			c.entries[a.key] = e
			c.sweepLater()
		}
		a.entry = e
	}
	c.touch(a.entry, now)
	return nil
}

func (c *cache) touch(e *entry, now instant) {
	e.used = now.mono
	if e.private || c.recent.next == e || e.current == nil && e.failures > 0 {
		return
	}
	e.unlink()
	e.next, e.prev = c.recent.next, &c.recent
	e.next.prev, e.prev.next = e, e
}

// demote makes an entry the first to go: what could not be issued pushes out nothing.
func (c *cache) demote(e *entry) {
	if e.next == nil { // private or gone
		return
	}
	e.unlink()
	e.next, e.prev = &c.recent, c.recent.prev
	e.next.prev, e.prev.next = e, e
}

func (e *entry) unlink() {
	if e.next != nil {
		e.next.prev, e.prev.next = e.prev, e.next
		e.next, e.prev = nil, nil
	}
}

// evict makes room for one entry, by what was not used for longest. What is being
// issued stays.
func (c *cache) evict() bool {
	for e := c.recent.prev; e != &c.recent; e = e.prev {
		if e.flight == nil {
			c.drop(e)
			return true
		}
	}
	return false
}

// drop forgets an entry. A credential that calls use lives until they are over.
func (c *cache) drop(e *entry) {
	e.gone = true
	delete(c.entries, e.key)
	e.unlink()
	c.retire(e)
	if e.flight != nil {
		e.flight.cancel()
	}
}

// retire takes the credential of an entry out of use.
func (c *cache) retire(e *entry) {
	if is := e.current; is != nil {
		e.current, is.retired = nil, true
		c.release(is, 0)
	}
}

// release takes loans back, and ends what is retired and no longer lent.
func (c *cache) release(is *issued, loans int) {
	switch is.loans -= loans; {
	case is.loans > 0 || !is.retired:
	case !is.ended:
		c.end(is)
	case is.outlived && loans > 0:
		c.finish(is)
	}
}

// end has a credential revoked and overwritten.
func (c *cache) end(is *issued) {
	is.ended = true
	if is.src.revoker != nil {
		c.recall(is)
		return
	}
	c.finish(is)
}

// sweepLater sees to it that what nobody asks for goes as well.
func (c *cache) sweepLater() {
	if c.timer == nil {
		c.timer = time.AfterFunc(sweepEvery, c.sweep)
	}
}

func (c *cache) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	now := c.clock()
	for _, e := range c.entries {
		switch {
		case e.flight != nil:
		case now.mono-e.used >= idleAfter:
			c.drop(e)
		case e.current != nil && e.current.life.phase(now) == dead:
			c.retire(e)
		}
	}
	c.unlinger(now)
	if len(c.entries)+len(c.lingering) > 0 {
		c.sweepLater()
	}
}

// plan asks the provider what it would issue.
func (s *source) plan(r Request) (plan string, err error) {
	defer contain(&err, "the provider")
	plan, err = s.planner.Plan(s.spec, r)
	if err == nil && len(plan) > maxPlan {
		err = fmt.Errorf("the provider's plan has %d bytes, at most %d are allowed", len(plan), maxPlan)
	}
	return plan, err
}
