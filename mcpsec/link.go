package mcpsec

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A link is one control in the chain: it contains the control's panics, tells its
// refusals from those of the controls inside it, and applies mode and failure
// policy.
type link struct {
	Declaration
	posture
	control Control
	bit     uint64  // of flight.passed and flight.erred
	next    Handler // the rest of the chain
	wrapped Handler // the control around passOn
}

var (
	errNoDerive  = errors.New("passed on a call or a context that is not derived from the one it received")
	errRenamed   = errors.New("passed on another call: a control may change the arguments, and nothing that says which call it is")
	errSwallowed = errors.New("returned neither a result nor an error and did not pass the call on")
)

// around puts the link's control in front of next. It returns nil if the control
// wraps to nil.
func (l *link) around(next Handler) Handler {
	l.next = next
	if l.wrapped = l.control.Wrap(l.passOn); l.wrapped == nil {
		return nil
	}
	return l.handle
}

// lenient reports whether the call may go on although the control said no.
func (l *link) lenient() bool { return l.mode == Observe || l.failOpen }

func (l *link) handle(ctx context.Context, call *Call) (res mcp.Result, err error) {
	f := call.flight
	if l.Stage == StageLimit && f.counted {
		return l.next(ctx, call)
	}
	defer func() {
		if p := recover(); p != nil {
			res, err = l.fail(ctx, call, panicError(p))
		}
	}()
	f.passed &^= l.bit
	f.erred &^= l.bit
	res, err = l.wrapped(ctx, call)
	switch {
	case f.erred&l.bit != 0 && err != nil:
		return res, err // what came from inside, perhaps wrapped
	case err != nil:
		if d := AsDenial(err); d != nil {
			return l.refuse(ctx, call, d)
		}
		return l.fail(ctx, call, err)
	case res == nil && f.passed&l.bit == 0:
		return l.fail(ctx, call, errSwallowed)
	}
	return res, nil
}

// passOn is the next of the control: it notes what came back from inside.
func (l *link) passOn(ctx context.Context, call *Call) (mcp.Result, error) {
	if call == nil || call.flight == nil {
		return nil, fmt.Errorf("control %s %w", l.Name, errNoDerive)
	}
	if was := &call.flight.call; call != was && !call.sameAs(was) {
		return nil, fmt.Errorf("control %s %w", l.Name, errRenamed)
	}
	res, err := l.next(ctx, call)
	f := call.flight
	f.passed |= l.bit
	if err != nil {
		f.erred |= l.bit
	}
	if l.lenient() {
		f.keep(l.bit, res, err)
	}
	return res, err
}

// refuse carries out the control's refusal, or notes it in Observe mode.
func (l *link) refuse(ctx context.Context, call *Call, d *Denial) (mcp.Result, error) {
	own := *d // a control may share one among calls
	if d = &own; d.Control == "" {
		d.Control = l.Name
	}
	if l.mode != Observe && (!l.failOpen || !d.Failure) {
		return nil, d
	}
	return l.letPass(ctx, call, Finding{Control: l.Name, Denial: d, Failed: d.Failure})
}

// fail handles a control that could not decide.
func (l *link) fail(ctx context.Context, call *Call, err error) (mcp.Result, error) {
	d := codeControlFailed.Deny("").Because(fmt.Errorf("control %s: %w", l.Name, err)).AsFailure()
	d.Control = l.Name
	if !l.lenient() {
		return nil, d
	}
	return l.letPass(ctx, call, Finding{Control: l.Name, Denial: d, Failed: true})
}

func (l *link) letPass(ctx context.Context, call *Call, note Finding) (mcp.Result, error) {
	f := call.flight
	f.remember(func(r *remembered) { r.findings = append(r.findings, note) })
	if f.passed&l.bit != 0 {
		return f.kept(l.bit)
	}
	return l.next(ctx, call)
}

// authorize asks the control about a call without running it. A panic is a no.
func (l *link) authorize(ctx context.Context, call *Call) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
	}()
	a, _ := as[Authorizer](l.control)
	return a.Authorize(ctx, call)
}

// panicError describes a recovered panic and where it happened, for the operator.
func panicError(p any) error {
	return fmt.Errorf("panic: %v at %s", p, panicSite())
}

// panicSite names the function that panicked: the first frame below the runtime's.
func panicSite() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	panicked := false
	for {
		frame, more := frames.Next()
		inRuntime := strings.HasPrefix(frame.Function, "runtime.")
		if panicked && !inRuntime {
			return fmt.Sprintf("%s (line %d)", frame.Function, frame.Line)
		}
		panicked = panicked || frame.Function == "runtime.gopanic"
		if !more {
			return "an unknown place"
		}
	}
}

func flattenSafely(c Control, links []*link) (out []*link, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("(%T) cannot be used: %w", c, panicError(p))
		}
	}()
	return flatten(c, posture{}, links)
}
