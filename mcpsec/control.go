package mcpsec

import (
	"context"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Handler runs a call, or the rest of the chain in front of it. For a request
// exactly one of the results is nil; for a notification both are.
type Handler func(ctx context.Context, call *Call) (mcp.Result, error)

// A Control lets a call pass, changes it, or refuses it with a [*Denial].
//
// Wrap is called once, by [New]; the Handler it returns is called for every call
// and must be safe for concurrent use. It calls next at most once at a time,
// with the context it received or one derived from it, and with the call it
// received or a shallow copy of it that differs in Arguments alone. An error of its
// own that is not a *Denial, and a panic, count as a failure of the control: the call
// is refused unless the control was given to New with [FailOpen].
//
// A control says where it belongs by implementing [Declarer], or is placed with
// [At]. The optional interfaces [Checker], [Authorizer], [Sealer],
// [Committer], [Witness], [Set] and io.Closer are found by the guard.
type Control interface {
	Wrap(next Handler) Handler
}

// A ControlFunc is a Control made of a function. It declares no stage: place it
// with [At].
type ControlFunc func(next Handler) Handler

// Wrap calls f.
func (f ControlFunc) Wrap(next Handler) Handler { return f(next) }

// A Declaration is what a control says of itself.
type Declaration struct {
	Name  string // how refusals and the audit record call it, for example "ratelimit"; required
	Stage Stage  // required
	// Sole controls exclude each other: New refuses two of the same Name.
	Sole bool
	// Strict controls only enforce: New refuses them in Observe mode and with FailOpen.
	Strict bool
}

// A Declarer is a Control that knows its own stage and name.
type Declarer interface {
	Control
	Declare() Declaration
}

// A Checker is a Control that may turn out to be unusable when it is made, for
// example because a file cannot be opened. New calls Check first and returns its
// error, so that a constructor can return a plain Control and a program can list
// its controls in one expression.
type Checker interface {
	Control
	Check() error
}

// An Authorizer is a Control that can say, without running or charging anything,
// whether a call would be allowed. The guard hides from lists what an Authorizer
// would refuse, and the same rule refuses the call, so that hidden is never
// merely hidden. Authorize must be safe for concurrent use; any error means no.
type Authorizer interface {
	Control
	Authorize(ctx context.Context, call *Call) error
}

// A Sealer is a Control that must see what the server offers before it serves.
// Install calls Seal once, in stage order, and fails with its error. Seal may
// set Digest and Version of the inventory's tools and keep the inventory, which
// nothing changes afterwards. It may move the bytes of definitions to memory of its own,
// unchanged.
type Sealer interface {
	Control
	Seal(ctx context.Context, inv *Inventory) error
}

// A Committer is a Control that keeps, beyond the process, that a server has started.
// Install calls Commit once, in stage order, when nothing else can make it fail any more:
// every Sealer has agreed and the guard is proved to be in force. It fails with Commit's
// error. Calls that arrive meanwhile meet the control before Commit has returned.
type Committer interface {
	Control
	Commit(ctx context.Context) error
}

// A Witness is a Control that is told why a guard did not come into force: once, by New
// before it closes the controls, or by Install. So a start that was refused, for a
// manifest that nobody trusted has signed, say, leaves a trace like a refused call.
type Witness interface {
	Control
	NotInForce(cause error)
}

// A Set is several controls that belong together but to different stages. New
// takes its Controls in the Set's place and never calls its Wrap.
type Set interface {
	Control
	Controls() []Control
}

// At places a control that declares no stage of its own, such as a ControlFunc.
func At(stage Stage, name string, c Control) Control {
	return placed{c, Declaration{Name: name, Stage: stage}}
}

type placed struct {
	Control
	as Declaration
}

func (p placed) Declare() Declaration { return p.as }
func (p placed) Unwrap() Control      { return p.Control }

// InMode gives a control a mode. Without it a control enforces.
func InMode(m Mode, c Control) Control {
	return modified{Control: c, mode: m, setMode: true}
}

// FailOpen lets calls pass when the control itself fails: with an error that is
// not a Denial, or with a panic. Each such call carries a [Finding]. Without
// FailOpen a failing control refuses the call.
func FailOpen(c Control) Control {
	return modified{Control: c, failOpen: true}
}

type modified struct {
	Control
	mode     Mode
	setMode  bool
	failOpen bool
}

// posture is how a control was asked to act.
type posture struct {
	mode     Mode
	failOpen bool
}

// flatten resolves modifiers and sets into single controls with their posture.
func flatten(c Control, p posture, out []*link) ([]*link, error) {
	switch c := c.(type) {
	case nil:
		return nil, fmt.Errorf("is nil")
	case modified:
		if c.setMode {
			if c.mode != Enforce && c.mode != Observe {
				return nil, fmt.Errorf("has unknown mode %v: use Enforce or Observe", c.mode)
			}
			p.mode = c.mode
		}
		p.failOpen = p.failOpen || c.failOpen
		return flatten(c.Control, p, out)
	case placed:
		if inner, ok := c.Control.(modified); ok { // a modifier inside At counts as well
			inner.Control = placed{inner.Control, c.as}
			return flatten(inner, p, out)
		}
	case Set:
		for i, part := range c.Controls() {
			var err error
			if out, err = flatten(part, p, out); err != nil {
				return nil, fmt.Errorf("(%T) part %d %w", c, i+1, err)
			}
		}
		return out, nil
	}
	d, ok := c.(Declarer)
	if !ok {
		return nil, fmt.Errorf("(%T) declares no stage: place it with mcpsec.At", c)
	}
	decl := d.Declare()
	if !decl.Stage.valid() {
		return nil, fmt.Errorf("(%T) declares unknown stage %v", c, decl.Stage)
	}
	if decl.Name == "" {
		return nil, fmt.Errorf("(%T) declares no name", c)
	}
	if inner, ok := as[placed](c); ok && inner.Control == nil {
		return nil, fmt.Errorf("(%s) is nil inside At", decl.Name)
	}
	return append(out, &link{control: c, Declaration: decl, posture: p}), nil
}

// as finds an optional interface on a control or on what it wraps.
func as[T any](c Control) (T, bool) {
	for {
		if t, ok := c.(T); ok {
			return t, true
		}
		u, ok := c.(interface{ Unwrap() Control })
		if !ok {
			var zero T
			return zero, false
		}
		c = u.Unwrap()
	}
}
