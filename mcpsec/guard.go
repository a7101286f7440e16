package mcpsec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Defaults of [Settings].
const (
	DefaultCallTimeout = 5 * time.Minute
	DefaultMaxBytes    = 4 << 20
	DefaultInputTTL    = 10 * time.Minute
)

// Settings are the guard's own few choices. A Settings value is given to [New]
// among the controls; the zero value is the default and the safe one.
type Settings struct {
	// CallTimeout bounds every call that the caller did not bound more tightly:
	// an abandoned call must not run for ever. It does not bound
	// subscriptions/listen. 0 means DefaultCallTimeout, negative means no bound.
	CallTimeout time.Duration
	// MaxBytes bounds the arguments of a call and a message at the HTTP frame,
	// in bytes. 0 means DefaultMaxBytes.
	MaxBytes int
	// InputTTL is how long a multi-round-trip call waits for the client's answers.
	// 0 means DefaultInputTTL.
	InputTTL time.Duration
	// StateKey seals request states and list cursors (AES-256-GCM). Replicas of
	// one service share it, so that a retry may arrive at any of them. A retry of
	// what another process asked is then counted as a call of its own, and a state
	// can be used once in each process instead of once. Nil means a random key for
	// the life of the guard. Otherwise 32 bytes.
	StateKey []byte
	// OnAlarm is called, from the goroutine of the call that found it, when the
	// guard sees something that never happens by accident. It must not block.
	// Nil means a log line on slog.Default at level error.
	OnAlarm func(Alarm)
	// AllowMCPGODEBUG permits the MCPGODEBUG environment variable, which switches
	// the SDK's behaviour at run time. Without it Install refuses to start.
	AllowMCPGODEBUG bool
}

// Wrap returns next: Settings control nothing by themselves.
func (s Settings) Wrap(next Handler) Handler { return next }

// An Alarm is the sight of something that never happens by accident: an attack on
// the guard itself, or what a control rang for with [Call.Alarm].
type Alarm struct {
	Code   string // a code of this package or of the control
	Tool   string // empty when no tool is concerned
	Detail string
	CallID string // empty outside a call
}

// Guard states.
const (
	stateOpen    int32 = iota // not installed: refuses all that arrives
	stateSealed               // in force
	stateRefused              // Install failed: refuses everything
)

// A Guard holds controls, owns their order, and is installed on one server. All
// methods are safe for concurrent use. Make one with [New]: with the zero value and
// with nil nothing can be added, installed or connected.
type Guard struct {
	settings Settings
	links    []*link
	outer    Handler // the stages that run once a call
	inner    Handler // the stages that run beside the handler
	bare     bool    // no control runs beside the handler
	auth     []*link // links whose control is an Authorizer and enforces
	seal     *sealer
	pending  pendingRounds
	frames   frames
	sessions sessionBook
	catalog  catalog
	now      func() time.Time

	mu      sync.Mutex // guards what follows until the guard is sealed
	server  *mcp.Server
	sdk     mcp.MethodHandler // the server's dispatch, inside all middleware added since
	entries map[string]*entry
	faults  []error // of AddTool, reported by Install again

	state      atomic.Int32
	offer      atomic.Pointer[offer]
	outflanked atomic.Bool
	callers    [2]atomic.Uintptr // the SDK's call sites of our middleware
	probing    atomic.Pointer[probe]
}

// New makes a guard of controls. It sorts them by stage, and it returns an error
// that lists every fault at once: a nil control, one without stage or name, an
// unknown mode, two controls that exclude each other, one that is unusable. New
// owns the controls: when it fails, it closes those that are an io.Closer.
func New(controls ...Control) (*Guard, error) {
	g := &Guard{now: time.Now, entries: make(map[string]*entry)}
	var faults []error
	settings := 0
	for i, c := range controls {
		if s, ok := c.(Settings); ok {
			g.settings = s
			if settings++; settings > 1 {
				faults = append(faults, errors.New("Settings given twice"))
			}
			continue
		}
		links, err := flattenSafely(c, g.links)
		if err != nil {
			faults = append(faults, fmt.Errorf("control %d %w", i+1, err))
			continue
		}
		g.links = links
	}
	slices.SortStableFunc(g.links, func(a, b *link) int { return int(a.Stage - b.Stage) })
	faults = append(faults, g.checkLinks()...)
	if err := g.applySettings(); err != nil {
		faults = append(faults, err)
	}
	if len(faults) == 0 {
		faults = append(faults, g.build())
	}
	if err := errors.Join(faults...); err != nil {
		g.notInForce(err)
		_ = g.Close() // what the other controls had opened; the fault is the news
		return nil, fmt.Errorf("mcpsec: %w", err)
	}
	return g, nil
}

// notInForce tells every Witness. A panic of one costs the others nothing.
func (g *Guard) notInForce(cause error) {
	for _, l := range g.links {
		if w, ok := as[Witness](l.control); ok {
			func() {
				defer func() { _ = recover() }()
				w.NotInForce(cause)
			}()
		}
	}
}

// maxLinks is the number of bits in the word that tracks a call through the links.
const maxLinks = 64

func (g *Guard) checkLinks() (faults []error) {
	if len(g.links) > maxLinks {
		faults = append(faults, fmt.Errorf("%d controls are more than %d", len(g.links), maxLinks))
	}
	sole := make(map[string]Stage)
	for _, l := range g.links {
		if stage, taken := sole[l.Name]; l.Sole && taken {
			faults = append(faults, fmt.Errorf("two %s controls in stage %v exclude each other: give New one", l.Name, stage))
		}
		if l.Sole {
			sole[l.Name] = l.Stage
		}
		if l.Strict && l.lenient() {
			faults = append(faults, fmt.Errorf("control %s only enforces: give it to New without InMode and FailOpen", l.Name))
		}
		if c, ok := as[Checker](l.control); ok {
			var err error
			if err = errors.Join(safely(func() { err = c.Check() }), err); err != nil {
				faults = append(faults, fmt.Errorf("control %s: %w", l.Name, err))
			}
		}
	}
	return faults
}

func (g *Guard) applySettings() error {
	s := &g.settings
	if s.CallTimeout == 0 {
		s.CallTimeout = DefaultCallTimeout
	}
	if s.InputTTL == 0 {
		s.InputTTL = DefaultInputTTL
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = DefaultMaxBytes
	}
	if s.MaxBytes < 0 || s.InputTTL < 0 {
		return fmt.Errorf("Settings: MaxBytes %d and InputTTL %v must not be negative", s.MaxBytes, s.InputTTL)
	}
	if s.OnAlarm == nil {
		s.OnAlarm = logAlarm
	}
	var err error
	g.seal, err = newSealer(s.StateKey)
	return err
}

func logAlarm(a Alarm) {
	slog.Error("mcpsec alarm", "code", a.Code, "tool", a.Tool, "detail", a.Detail, "call", a.CallID)
}

// build links the controls into the two chains, innermost first.
func (g *Guard) build() error {
	g.inner, g.outer = runHandler, dispatch
	g.bare = true
	admitted := false
	for i, l := range slices.Backward(g.links) {
		l.bit = 1 << i
		chain := &g.outer
		switch {
		case l.Stage.besideHandler():
			chain, g.bare = &g.inner, false
		case l.Stage <= StageLimit && !admitted:
			g.outer, admitted = admit(g.outer), true
		}
		if err := safely(func() { *chain = l.around(*chain) }); err != nil {
			return fmt.Errorf("control %s: Wrap: %w", l.Name, err)
		}
		if *chain == nil {
			return fmt.Errorf("control %s: Wrap returned nil", l.Name)
		}
		if _, ok := as[Authorizer](l.control); ok && l.mode == Enforce {
			g.auth = append(g.auth, l)
		}
	}
	if !admitted {
		g.outer = admit(g.outer)
	}
	return nil
}

var errNoGuard = errors.New("mcpsec: no guard: make one with New")

// made reports whether the guard was made by New.
func (g *Guard) made() bool { return g != nil && g.outer != nil }

// Posture describes one control of a guard, for logs and for a person.
type Posture struct {
	Name     string
	Stage    Stage
	Mode     Mode
	FailOpen bool
}

// Postures lists the guard's controls in the order in which a call meets them.
func (g *Guard) Postures() []Posture {
	out := make([]Posture, len(g.links))
	for i, l := range g.links {
		out[i] = Posture{l.Name, l.Stage, l.mode, l.failOpen}
	}
	return out
}

// Close closes every control that is an io.Closer, the innermost first, and
// returns their errors joined. Calls made afterwards are refused by the controls
// that needed what was closed.
func (g *Guard) Close() error {
	var faults []error
	for _, l := range slices.Backward(g.links) {
		if c, ok := as[io.Closer](l.control); ok {
			if err := c.Close(); err != nil {
				faults = append(faults, fmt.Errorf("mcpsec: closing %s: %w", l.Name, err))
			}
		}
	}
	return errors.Join(faults...)
}

func (g *Guard) alarm(a Alarm) {
	defer func() { _ = recover() }() // an alarm bell must not end the call it rings for
	g.settings.OnAlarm(a)
}

// visible reports whether every authoriser in force would allow the call.
func (g *Guard) visible(ctx context.Context, call *Call) bool {
	for _, l := range g.auth {
		if l.authorize(ctx, call) != nil {
			return false
		}
	}
	return true
}
