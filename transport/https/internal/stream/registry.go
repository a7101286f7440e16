package stream

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Kind is what is counted, each by its own bounds.
type Kind int

// The kinds.
const (
	Reading Kind = iota // a request whose body is being read
	Call                // a call under way, with its answer
	Session             // a session of a revision that has them
	Stream              // a response that lasts until somebody ends it
	Weight              // a byte of a message that was sent and is not answered
	kinds
)

// Bounds are how many of one kind may be open, in total and of one principal. Negative is
// no bound.
type Bounds struct{ Total, Per int }

// Limits are what a registry holds to.
type Limits struct {
	Reading, Call, Session, Stream, Weight Bounds

	Age  time.Duration // of sessions and streams
	Idle time.Duration // of sessions
	Warn time.Duration // before the credentials of a stream expire
	Kill time.Duration // from End to Kill
}

// ErrFull is returned by Enter: the principal has as many as it may have. ErrBusy: the
// server has.
var (
	ErrFull = errors.New("stream: the principal has too many open")
	ErrBusy = errors.New("stream: the server has too many open")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("stream: the server is shutting down")
)

// A Registry is made by New and safe for concurrent use.
type Registry struct {
	limits Limits
	bounds [kinds]Bounds
	now    func() time.Time

	mu     sync.Mutex
	closed bool
	total  [kinds]int
	groups map[string]*group
	all    map[*Entry]struct{}
	spare  []*Entry // of the last sweep
	sweeps sync.Mutex
}

// A group is what one principal has open.
type group struct {
	count   [kinds]int
	entries map[*Entry]struct{}
	renewed time.Time
	shown   any
	from    string // the address that showed it
}

// New returns a registry without entries.
func New(l Limits, now func() time.Time) *Registry {
	return &Registry{
		limits: l, now: now,
		bounds: [kinds]Bounds{l.Reading, l.Call, l.Session, l.Stream, l.Weight},
		groups: make(map[string]*group), all: make(map[*Entry]struct{}),
	}
}

// An Entry is something open. Whoever entered it calls Leave.
type Entry struct {
	registry *Registry
	kind     Kind
	key      string
	target   Target
	begun    time.Time

	// Guarded by the registry's lock.
	holder *Holder
	active time.Time
	warned bool
	ended  time.Time
	cause  Cause
	gone   bool
}

// Reserve counts one of a kind without an entry: what is over before any sweep. The
// returned function takes it back; it is called once.
func (r *Registry) Reserve(kind Kind, key string) (release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.take(kind, key, 1); err != nil {
		return nil, err
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.give(kind, key, 1)
	}, nil
}

// Enter registers something that is open. The errors are ErrFull, ErrBusy and ErrClosed.
func (r *Registry) Enter(kind Kind, h *Holder, t Target) (*Entry, error) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.take(kind, h.Key, 1); err != nil {
		return nil, err
	}
	e := &Entry{registry: r, kind: kind, key: h.Key, target: t, begun: now, holder: h, active: now}
	r.all[e] = struct{}{}
	g := r.groups[h.Key]
	if g.entries == nil {
		g.entries = make(map[*Entry]struct{})
	}
	g.entries[e] = struct{}{}
	return e, nil
}

// Leave takes the entry out. It may be called more than once.
func (e *Entry) Leave() {
	r := e.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.gone {
		return
	}
	e.gone = true
	delete(r.all, e)
	if g := r.groups[e.key]; g != nil {
		delete(g.entries, e)
	}
	r.give(e.kind, e.key, 1)
}

func (r *Registry) take(kind Kind, key string, n int) error {
	if r.closed {
		return ErrClosed
	}
	b := r.bounds[kind]
	if b.Total >= 0 && r.total[kind]+n > b.Total {
		return ErrBusy
	}
	g := r.groups[key]
	if g == nil {
		g = &group{}
		r.groups[key] = g
	}
	if b.Per >= 0 && g.count[kind]+n > b.Per {
		r.forget(key, g)
		return ErrFull
	}
	g.count[kind] += n
	r.total[kind] += n
	return nil
}

func (r *Registry) give(kind Kind, key string, n int) {
	g := r.groups[key]
	if g == nil {
		return
	}
	g.count[kind] -= n
	r.total[kind] -= n
	r.forget(key, g)
}

// forget drops a group that holds nothing, so that principals cost nothing afterwards.
func (r *Registry) forget(key string, g *group) {
	if g.count == [kinds]int{} {
		delete(r.groups, key)
	}
}

// Count returns how many of a kind are open.
func (r *Registry) Count(kind Kind) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total[kind]
}

// Touch says that the entry was used.
func (e *Entry) Touch() {
	now := e.registry.now()
	e.registry.mu.Lock()
	e.active = now
	e.registry.mu.Unlock()
}

// Ended returns why the registry has ended the entry; 0 if it has not.
func (e *Entry) Ended() Cause {
	e.registry.mu.Lock()
	defer e.registry.mu.Unlock()
	return e.cause
}

// A Busy target still has to deliver something, and says so.
type Busy interface{ Busy() bool }

// Close lets nothing in any more and ends every entry of the kinds that is not [Busy].
func (r *Registry) Close(of ...Kind) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for _, e := range r.list() {
		if b, ok := e.target.(Busy); slices.Contains(of, e.kind) && (!ok || !b.Busy()) {
			e.end(Shutdown)
		}
	}
}

// End ends everything of the principals that match, and returns how many entries that
// were.
func (r *Registry) End(match func(mcpsec.Principal) bool, cause Cause) int {
	var count int
	for _, e := range r.list() {
		if match(e.who()) && e.end(cause) {
			count++
		}
	}
	return count
}

func (e *Entry) who() mcpsec.Principal {
	e.registry.mu.Lock()
	defer e.registry.mu.Unlock()
	return e.holder.Principal
}

// list returns what is open.
func (r *Registry) list() []*Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Entry, 0, len(r.all))
	for e := range r.all {
		all = append(all, e)
	}
	return all
}

// Kill kills everything that is open.
func (r *Registry) Kill() {
	for _, e := range r.list() {
		e.end(Shutdown)
		e.target.Kill()
	}
}

// End ends the entry, unless that was done before.
func (e *Entry) End(cause Cause) { e.end(cause) }

func (e *Entry) end(cause Cause) bool {
	now := e.registry.now()
	e.registry.mu.Lock()
	first := e.cause == 0 && !e.gone
	if first {
		e.cause, e.ended = cause, now
	}
	e.registry.mu.Unlock()
	if first {
		e.target.End(cause)
	}
	return first
}
