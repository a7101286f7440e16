package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/audit/internal/redact"
	"github.com/mcpsec/mcpsec-go/audit/ledger"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Sink takes events to where they are kept, while the call waits. What is kept
// elsewhere is a [Destination] instead, which no call waits for.
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

var errNoSink = errors.New("no sink: give New at least one of audit.Dir, audit.Console and audit.To")

// A Logger is the control that records calls. Every sink must take every event:
// one that cannot makes calls fail, because a record that is sometimes complete
// is no record. What may be lost all the same, [Classify] says.
//
// In mode mcpsec.Observe a call that cannot be recorded passes all the same. The
// Logger does not know its mode, so the sinks that still work report a refusal.
// mcpsec.FailOpen changes nothing: audit.unavailable is a refusal, and not a
// failure of the control.
//
// All methods are safe for concurrent use. Make one with [New]; the zero value
// refuses every call. It is a [mcpsec.Set] of two controls: one outside all others,
// which records outcomes and so sees what the others refuse, and one beside the
// handler, which records the attempt that they have let pass.
type Logger struct {
	now      func() time.Time
	fault    error // of New, for Check
	classify func(*Event) ledger.Class
	policy   string
	redact   *redact.Policy
	hmac     *argumentKey // nil: without
	flood    *flood
	ledger   *ledger.Ledger // nil without Dir
	shipping *fleet

	mu     sync.RWMutex
	sinks  []Sink
	closed bool
	under  sync.WaitGroup // events being recorded; grows only under mu and before closed
	once   sync.Once
	reason error // what Close returned
}

var (
	_ mcpsec.Set     = (*Logger)(nil)
	_ mcpsec.Checker = (*Logger)(nil)
	_ io.Closer      = (*Logger)(nil)
)

// New makes a Logger that records to the sinks its options name, of which there
// must be at least one. What is wrong with them, such as a folder that cannot be
// opened, mcpsec.New reports all at once; see [Logger.Check].
func New(opts ...Option) *Logger {
	c := newConfig()
	faults := c.read(opts)
	l := &Logger{now: time.Now, sinks: c.sinks, classify: c.classify, policy: c.policy, shipping: newFleet(c.cargo, c.onFault)}
	if len(faults) == 0 {
		faults = append(faults, l.build(c))
	}
	if err := errors.Join(faults...); err != nil {
		l.fault = errors.Join(err, l.Close())
	}
	return l
}

// Controls returns the two controls that the Logger consists of.
func (l *Logger) Controls() []mcpsec.Control {
	return []mcpsec.Control{&outside{l}, &beside{l}}
}

// Wrap puts both controls around next, for use without a guard.
func (l *Logger) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return (&outside{l}).Wrap((&beside{l}).Wrap(next))
}

// Check returns every fault that New found, joined. If there is one, the sinks
// are closed already.
func (l *Logger) Check() error {
	if l.fault == nil && l.now == nil {
		return errors.New("a Logger is made with audit.New")
	}
	return l.fault
}

// Close waits for the events being recorded, then closes every sink, gives each
// destination a moment to take the last records, and returns the errors joined.
// Calls made afterwards are refused; calls under way have their results withheld.
// Closing again returns the same error.
func (l *Logger) Close() error {
	if l.flood != nil {
		l.flood.close() // before the lock: it records what it counted
	}
	l.once.Do(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		l.under.Wait()
		// Without the lock: what closes may log, and NewHandler brings that here.
		var faults []error
		for _, s := range l.sinks {
			faults = append(faults, guarded(s.Close))
		}
		if l.shipping != nil {
			l.shipping.close()
		}
		l.reason = errors.Join(faults...)
	})
	return l.reason
}

// name is how refusals and the record call the Logger.
const name = "audit"

// outside is the Logger's control outside all others.
type outside struct{ log *Logger }

var (
	_ mcpsec.Declarer = (*outside)(nil)
	_ mcpsec.Checker  = (*outside)(nil)
	_ mcpsec.Witness  = (*outside)(nil)
	_ io.Closer       = (*outside)(nil)
	_ mcpsec.Declarer = (*beside)(nil)
)

func (o *outside) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: name, Stage: mcpsec.StageAudit, Sole: true}
}

func (o *outside) Check() error { return o.log.Check() }
func (o *outside) Close() error { return o.log.Close() }

// NotInForce records why the server does not start, durably: nothing else may come after.
func (o *outside) NotInForce(cause error) {
	l := o.log
	if l.now == nil {
		return
	}
	e := &Event{
		Kind: Log, Time: l.now(), Level: slog.LevelError.String(), Code: codeNotInForce,
		Reason: "the guard did not come into force", Policy: l.policy, blank: l.redact, lasting: true,
	}
	e.Detail = e.bounded(cause.Error(), maxText)
	_ = l.record(context.Background(), e) // whoever starts the server has the cause in hand
}

// codeNotInForce is the guard's own code for a guard that Install has not put in force.
const codeNotInForce = "guard.not_installed"

// beside is the Logger's control beside the handler.
type beside struct{ log *Logger }

func (b *beside) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: name, Stage: mcpsec.StageIntent}
}

// An account is the record of one call in the making, and the context in which it
// travels from one control to the other.
type account struct {
	context.Context //nolint:containedctx // it is one

	mu    sync.Mutex
	event Event
	over  bool // the outcome is being recorded
	late  late
}

// late is the context of an outcome: it has the values of the call's, if there is
// one, and is never cancelled.
type late struct{ of *account }

func (*late) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*late) Done() <-chan struct{}       { return nil }
func (*late) Err() error                  { return nil }
func (l *late) Value(key any) any {
	if l.of == nil {
		return nil
	}
	return l.of.Value(key)
}

type accountKey struct{}

func (a *account) Value(key any) any {
	if key == (accountKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// Wrap records the outcome of what next does.
func (o *outside) Wrap(next mcpsec.Handler) mcpsec.Handler {
	l := o.log
	return func(ctx context.Context, call *mcpsec.Call) (res mcp.Result, err error) {
		if err := l.Check(); err != nil {
			return nil, unavailable("nothing has run", err)
		}
		a := &account{Context: ctx}
		a.late.of = a
		e, start := &a.event, l.now()
		l.begin(e, call, start)
		returned := false
		defer func() { //nolint:contextcheck // the account is the context
			if !returned { // a panic outside the handler, or runtime.Goexit inside it
				a.end()
				e.abandon(l.now(), start)
				_ = l.record(&a.late, e) // there is no answer left to withhold
			}
		}()
		res, err = next(a, call) //nolint:contextcheck // the account is the context
		a.end()
		e.settle(call, res, err)
		returned = true
		e.stamp(l.now(), start)
		if l.flood.swallows(e) { //nolint:contextcheck // what it counts is of many calls
			return res, err
		}
		if err := l.record(&a.late, e); err != nil { //nolint:contextcheck // never cancelled
			return nil, l.refuse(&a.late, e, unavailable(e.progress(), err)) //nolint:contextcheck // as above
		}
		return res, err
	}
}

// end keeps a handler that is still to begin from doing so: a control between may
// have answered in its place.
func (a *account) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
}

var errStray = errors.New("a control passed on a context that is not derived from the one it received")

var errOver = errors.New("the call has been answered already")

// Wrap records the attempt, and runs next only if that could be done.
func (b *beside) Wrap(next mcpsec.Handler) mcpsec.Handler {
	l := b.log
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		a, _ := ctx.Value(accountKey{}).(*account)
		if a == nil {
			return nil, unavailable("nothing has run", errStray)
		}
		if classOf(call.Method) != ledger.BestEffort { // an outcome is record enough of those
			if err := l.attempt(ctx, a, call); err != nil {
				return nil, unavailable("nothing has run", err)
			}
		}
		return next(ctx, call)
	}
}

func (l *Logger) attempt(ctx context.Context, a *account, call *mcpsec.Call) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return errOver
	}
	e := &a.event
	e.Kind, e.Decision, e.Time = Attempt, Allowed, l.now()
	e.Round = max(e.Round, call.Round)
	e.attest(call.Tool)
	e.hear(call)
	e.redact(call.Arguments)
	e.attempted = true // some sink may have it, whatever record says
	return l.record(ctx, e)
}

// refuse tells the sinks that still work that the call was refused after all.
func (l *Logger) refuse(ctx context.Context, e *Event, d *mcpsec.Denial) *mcpsec.Denial {
	e.Kind, e.IsError, e.Result = Outcome, false, Result{}
	d.Control = name
	e.refused(d)
	e.redact(nil)        // a sink knows nothing of arguments; its text is bounded all the same
	_ = l.record(ctx, e) // the refusal stands whether or not it is recorded
	return d
}

// record gives the event to every sink, so that one that fails costs the others
// nothing.
func (l *Logger) record(ctx context.Context, e *Event) (err error) {
	l.mu.RLock()
	if l.closed || l.classify == nil {
		l.mu.RUnlock()
		return ErrClosed
	}
	l.under.Add(1)
	l.mu.RUnlock()
	defer l.under.Done()
	defer contain(&err) // of ClassifyWith and HeldSecrets
	switch {
	case e.lasting:
		e.class = Require
	case e.Kind == Log:
		e.class = BestEffort
	default:
		e.class = l.classify(e)
	}
	l.scrub(e)
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
