package mcpsec

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A flight is one logical call on its way through the guard, and the context in
// which it travels: one allocation serves both. Its plain fields belong to the
// goroutine that runs the chain.
type flight struct {
	parent context.Context
	guard  *Guard
	call   Call
	req    mcp.Request
	next   mcp.MethodHandler // in middleware: what lies inside the guard
	run    Handler           // otherwise: what the call runs
	entry  *entry            // the guarded tool, if any
	fault  *Denial           // found while the call was read; refused after audit and limit
	frame  *frame            // where it arrived, if a frame is in use
	token  *auth.TokenInfo
	began  time.Time

	passed, erred uint64  // one bit a link
	current       *Call   // as it left the outer chain
	refused       *Denial // raised inside the handler
	caps          *mcp.ClientCapabilities

	timeout time.Duration // 0 means none
	lazy    atomic.Pointer[cancellable]

	mu   sync.Mutex
	rare *remembered // nil for most calls

	runs    int32       // of the guarded handler
	byHand  bool        // begun at a handler, without middleware
	framed  bool        // the request itself says which token it has, if any
	counted bool        // a retry of a call that was already charged
	landed  bool        // over; under mu
	asked   bool        // the last run asked the client for input
	ran     atomic.Bool // what the call is for has begun
}

// remembered is what only few calls have to remember.
type remembered struct {
	keeps    []kept
	findings []Finding
	notes    []Note
	room     [2]Note // for notes
	issued   []Credential
	place    [1]Credential // for issued: most calls have one
}

type kept struct {
	bit uint64
	res mcp.Result
	err error
}

// remember gives do what the call remembers, under the lock.
func (f *flight) remember(do func(*remembered)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rare == nil {
		f.rare = &remembered{}
	}
	do(f.rare)
}

func (f *flight) keep(bit uint64, res mcp.Result, err error) {
	f.remember(func(r *remembered) { r.keeps = append(r.keeps, kept{bit, res, err}) })
}

func (f *flight) kept(bit uint64) (res mcp.Result, err error) {
	err = errSwallowed
	f.remember(func(r *remembered) {
		for _, k := range r.keeps {
			if k.bit == bit {
				res, err = k.res, k.err // the last one counts
			}
		}
	})
	return res, err
}

type flightKey struct{}

func flightFrom(ctx context.Context) *flight {
	f, _ := ctx.Value(flightKey{}).(*flight)
	return f
}

// The methods of context.Context. Most handlers never ask for Done, so the timer
// behind the call's own deadline is made only when somebody does.

type cancellable struct {
	context.Context
	cancel context.CancelFunc
}

// Deadline returns the earlier of the caller's deadline and the guard's.
func (f *flight) Deadline() (time.Time, bool) {
	d, ok := f.parent.Deadline()
	if own := f.began.Add(f.timeout); f.timeout > 0 && (!ok || own.Before(d)) {
		return own, true
	}
	return d, ok
}

// Done is closed when the caller cancels, goes away, or the deadline passes.
func (f *flight) Done() <-chan struct{} {
	if !f.bounded() {
		return f.parent.Done()
	}
	return f.live().Done()
}

// Err follows the same rules as Done.
func (f *flight) Err() error {
	if l := f.lazy.Load(); l != nil {
		return l.Err()
	}
	if err := f.parent.Err(); err != nil {
		return err
	}
	if gone := f.callerGone(); gone != nil && gone.Err() != nil {
		return context.Canceled
	}
	if f.timeout > 0 && time.Since(f.began) >= f.timeout {
		return context.DeadlineExceeded
	}
	return nil
}

// tokenKey is the key under which the SDK keeps a token in a context. It is not
// exported; asking the SDK for the token of a context that listens reveals it.
var tokenKey = func() (key any) {
	auth.TokenInfoFromContext(keySpy{context.Background(), &key})
	return key
}()

type keySpy struct {
	context.Context
	key *any
}

func (s keySpy) Value(key any) any {
	*s.key = key
	return nil
}

// Value finds the flight, and the token of this request instead of the one that
// opened the session.
func (f *flight) Value(key any) any {
	if key == (flightKey{}) {
		return f
	}
	if f.framed && key == tokenKey {
		if f.token == nil {
			return nil // not even the one that opened the session
		}
		return f.token
	}
	// Package context looks for parents to be cancelled with by a *int of its own.
	if _, internal := key.(*int); !internal && f.frame != nil && f.frame.values != nil {
		// The context of this message, instead of the one that opened the session.
		if v := f.frame.values.Value(key); v != nil {
			return v
		}
	}
	if l := f.lazy.Load(); l != nil {
		return l.Value(key) // so that child contexts are cancelled without a goroutine each
	}
	return f.parent.Value(key)
}

func (f *flight) bounded() bool { return f.timeout > 0 || f.callerGone() != nil }

// callerGone returns the context that ends when the caller's connection does, if
// that means cancellation in the caller's protocol revision.
func (f *flight) callerGone() context.Context {
	if f.frame == nil {
		return nil
	}
	return f.frame.gone
}

func (f *flight) live() *cancellable {
	if l := f.lazy.Load(); l != nil {
		return l
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.lazy.Load(); l != nil {
		return l
	}
	l := &cancellable{Context: f.parent}
	if f.timeout <= 0 {
		l.Context, l.cancel = context.WithCancel(f.parent)
	} else {
		l.Context, l.cancel = context.WithDeadline(f.parent, f.began.Add(f.timeout))
	}
	if gone := f.callerGone(); gone != nil {
		stop, cancel := context.AfterFunc(gone, l.cancel), l.cancel
		l.cancel = func() { stop(); cancel() }
	}
	if f.landed {
		l.cancel()
	}
	f.lazy.Store(l)
	return l
}

// land releases the timer of a flight that is over.
func (f *flight) land() {
	f.mu.Lock()
	f.landed = true
	f.mu.Unlock()
	if l := f.lazy.Load(); l != nil {
		l.cancel()
	}
}
