package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Sink takes events to where they are kept.
//
// Record returns nil once the event is taken, which means as safe as the sink
// promises to keep it; an error refuses the call, or withholds its result. It must
// be safe for concurrent use and must not keep the event or anything it points to
// other than its strings. It bounds its own waiting: the context of an attempt is
// the caller's, but that of an outcome is never cancelled, since a caller that
// goes away must not go unrecorded.
//
// Close keeps what is still on its way and releases the sink. It is called once,
// after the last Record has returned.
type Sink interface {
	Record(ctx context.Context, e *Event) error
	Close() error
}

// ErrClosed is wrapped by the refusal of calls that come after [Logger.Close].
var ErrClosed = errors.New("the audit log is closed")

var errNoSink = errors.New("no sink: give New at least one of audit.File, audit.Console and audit.To")

// An Option adds to what [New] makes. The zero Option is an error.
type Option func(*Logger) error

// To adds sinks of the caller's own. The Logger owns them from here on and closes
// them.
func To(sinks ...Sink) Option {
	return func(l *Logger) error {
		if len(sinks) == 0 {
			return errors.New("audit.To: no sink given")
		}
		for i, s := range sinks {
			if s == nil {
				return fmt.Errorf("audit.To: sink %d is nil", i+1)
			}
			l.sinks = append(l.sinks, s)
		}
		return nil
	}
}

// A Logger is the control that records calls. Every sink must take every event:
// one that cannot makes calls fail, because a record that is sometimes complete
// is no record.
//
// In mode mcpsec.Observe a call that cannot be recorded passes all the same. The
// Logger does not know its mode, so the sinks that still work report a refusal.
// mcpsec.FailOpen changes nothing: audit.unavailable is a refusal, and not a
// failure of the control.
//
// All methods are safe for concurrent use. Make one with [New]; the zero value
// refuses every call.
type Logger struct {
	now   func() time.Time
	fault error // of New, for Check

	mu     sync.RWMutex // held for reading while an event is recorded
	sinks  []Sink
	closed bool
	reason error // what Close returned
}

var (
	_ mcpsec.Declarer = (*Logger)(nil)
	_ mcpsec.Checker  = (*Logger)(nil)
	_ io.Closer       = (*Logger)(nil)
)

// New makes a Logger that records to the sinks its options name, of which there
// must be at least one. What is wrong with them, such as a file that cannot be
// opened, mcpsec.New reports all at once; see [Logger.Check].
func New(opts ...Option) *Logger {
	l := &Logger{now: time.Now}
	var faults []error
	for i, opt := range opts {
		if opt == nil {
			faults = append(faults, fmt.Errorf("option %d is the zero Option", i+1))
			continue
		}
		if err := opt(l); err != nil {
			faults = append(faults, err)
		}
	}
	if len(l.sinks) == 0 && len(faults) == 0 {
		faults = append(faults, errNoSink)
	}
	if len(faults) > 0 {
		l.fault = errors.Join(append(faults, l.Close())...)
	}
	return l
}

// Declare places the Logger outside all other controls, once in a guard.
func (l *Logger) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "audit", Stage: mcpsec.StageAudit, Sole: true}
}

// Check returns every fault that New found, joined. If there is one, the sinks
// are closed already.
func (l *Logger) Check() error {
	if l.fault == nil && l.now == nil {
		return errors.New("a Logger is made with audit.New")
	}
	return l.fault
}

// Close waits for the events being recorded, then closes every sink, and returns
// their errors joined. Calls made afterwards are refused; calls under way have
// their results withheld. Closing again returns the same error.
func (l *Logger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.reason
	}
	l.closed = true
	var faults []error
	for _, s := range l.sinks {
		faults = append(faults, guarded(s.Close))
	}
	l.reason = errors.Join(faults...)
	return l.reason
}

// Wrap records the attempt, runs next, and records the outcome.
func (l *Logger) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (res mcp.Result, err error) {
		if err := l.Check(); err != nil {
			return nil, unavailable("nothing has run", err)
		}
		start := l.now()
		e := newEvent(call, start)
		if err := l.record(ctx, e); err != nil {
			return nil, l.refuse(ctx, e, unavailable("nothing has run", err))
		}
		returned := false
		defer func() {
			if !returned { // a panic outside the handler, or runtime.Goexit inside it
				e.abandon(l.now(), start)
				_ = l.record(context.WithoutCancel(ctx), e) // there is no answer left to withhold
			}
		}()
		res, err = next(ctx, call)
		returned = true

		e.settle(call, res, err)
		e.stamp(l.now(), start)
		if err := l.record(context.WithoutCancel(ctx), e); err != nil {
			return nil, l.refuse(ctx, e, unavailable(e.progress(), err))
		}
		return res, err
	}
}

// refuse tells the sinks that still work that the call was refused after all.
func (l *Logger) refuse(ctx context.Context, e *Event, d *mcpsec.Denial) *mcpsec.Denial {
	e.Kind = Outcome
	d.Control = l.Declare().Name
	e.refused(d)
	e.redact(nil)                               // a sink knows nothing of arguments; its text is bounded all the same
	_ = l.record(context.WithoutCancel(ctx), e) // the refusal stands whether or not it is recorded
	return d
}

// record gives the event to every sink, so that one that fails costs the others
// nothing.
func (l *Logger) record(ctx context.Context, e *Event) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	var faults []error
	for _, s := range l.sinks {
		if err := take(ctx, s, e); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// take contains the panic of a sink: it counts as an event not taken.
func take(ctx context.Context, s Sink, e *Event) (err error) {
	defer contain(&err)
	return s.Record(ctx, e)
}

func guarded(do func() error) (err error) {
	defer contain(&err)
	return do()
}

func contain(err *error) {
	switch p := recover().(type) {
	case nil:
	case runtime.Error:
		*err = fmt.Errorf("audit: a sink panicked: %w", p)
	default: // whatever a sink panics with may hold what it was given
		*err = fmt.Errorf("audit: a sink panicked with %T", p)
	}
}
