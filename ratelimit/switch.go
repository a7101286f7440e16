package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Target is what a [Switch] freezes.
type Target struct {
	kind targetKind
	name string
}

type targetKind string

const (
	everything targetKind = "everything"
	principal  targetKind = "principal"
	oneTool    targetKind = "tool"
)

// Everything is every call of everybody. What a client needs to keep its session
// (ping, initialization) and cancellations pass.
func Everything() Target { return Target{kind: everything} }

// PrincipalNamed is all that a principal does: the one with this key, or every one with
// this subject, whoever issued it. The subject of a token, an address without port
// and "uid:1000" are subjects; "anonymous" is all who are not known.
func PrincipalNamed(keyOrSubject string) Target { return Target{principal, keyOrSubject} }

// ToolNamed is every call of a tool.
func ToolNamed(name string) Target { return Target{oneTool, name} }

// String returns "everything", or the kind and the name.
func (t Target) String() string {
	if t.kind == everything {
		return string(everything)
	}
	return fmt.Sprintf("%s %q", t.kind, t.name)
}

const (
	maxTargetName = 4096 // bytes
	maxReason     = 1024
	maxFrozen     = 1000 // targets beside everything
)

func (t Target) check() error {
	switch t.kind {
	case everything:
		if t.name != "" {
			return errors.New("everything has no name")
		}
		return nil
	case principal, oneTool:
		if t.name == "" || len(t.name) > maxTargetName {
			return fmt.Errorf("a %s has a name of 1 to %d bytes", t.kind, maxTargetName)
		}
		if !utf8.ValidString(t.name) {
			return fmt.Errorf("the name of a %s is UTF-8: JSON would make another of it", t.kind)
		}
		return nil
	}
	return errors.New("zero Target: use Everything, PrincipalNamed or ToolNamed")
}

// A Freeze is a target that is frozen, since when and why.
type Freeze struct {
	Target Target
	Since  time.Time
	Reason string
}

// A Switch stops calls at once: of a principal, of a tool, or all. That of a server is
// [Limiter.Switch]; [OpenSwitch] is for other processes. It is safe for concurrent use. Calls that
// run already end by themselves, but may ask the client nothing more.
type Switch struct {
	path string // of the file; empty: in memory only
	now  func() time.Time

	frozen atomic.Pointer[frozen]
	next   atomic.Int64 // when to look at the file again, in Unix nanoseconds

	mu   sync.Mutex // reads and writes of the file, which may take long
	seen fs.FileInfo

	// memory is held to change frozen and held, and never while something may hang. It
	// is taken inside mu.
	memory sync.Mutex
	held   []Freeze // frozen in this process and not, or not yet, in the file
}

// frozen is what is frozen at a time. It never changes.
type frozen struct {
	list       []Freeze
	everything *Freeze
	principals map[string]*Freeze
	tools      map[string]*Freeze
	fault      error // the file cannot be read: everything is frozen
}

func newFrozen(list []Freeze) *frozen {
	f := &frozen{list: list, principals: make(map[string]*Freeze), tools: make(map[string]*Freeze)}
	for i := range list {
		switch one := &list[i]; one.Target.kind {
		case everything:
			f.everything = one
		case principal:
			f.principals[one.Target.name] = one
		default:
			f.tools[one.Target.name] = one
		}
	}
	return f
}

func newSwitch() *Switch {
	s := &Switch{now: time.Now}
	s.frozen.Store(newFrozen(nil))
	return s
}

// Freeze stops the target until it is thawed: in this process before anything that may
// take long or fail, then in the file. A target that is frozen already gets the new
// reason and keeps its time; of a reason more than a KiB is cut off.
//
// When Freeze of a Switch with a file returns nil, the file is on disk. When it returns
// an error, a target that can be frozen is frozen all the same, in this process only,
// unless a thousand others are; everything always can be.
func (s *Switch) Freeze(t Target, reason string) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("ratelimit: freeze: %w", err)
	}
	f := Freeze{t, s.now().UTC().Truncate(time.Second), cut(reason)}
	s.hold(f)
	return s.change(opFreeze, t, func(list []Freeze) ([]Freeze, error) {
		i := slices.IndexFunc(list, func(one Freeze) bool { return one.Target == t })
		if i < 0 {
			i, list = len(list), append(list, f)
		}
		list[i].Reason = f.Reason
		if t.kind != everything && crowded(list) {
			return nil, fmt.Errorf("%d targets are frozen already: thaw some, or freeze everything", maxFrozen)
		}
		return list, nil
	})
}

// ErrNotFrozen is returned by Thaw for what is not frozen.
var ErrNotFrozen = errors.New("is not frozen")

// Thaw lets the target go on. It lifts exactly what was frozen: a tool that is
// frozen stays so when everything else is thawed. When it returns an error other than
// ErrNotFrozen the target is still frozen, unless only the last step failed, which makes
// the change outlast a loss of power: then it is thawed with the next look at the file.
func (s *Switch) Thaw(t Target) error {
	return s.change(opThaw, t, func(list []Freeze) ([]Freeze, error) {
		left := slices.DeleteFunc(list, func(f Freeze) bool { return f.Target == t })
		if len(left) == len(list) {
			return nil, fmt.Errorf("%v %w", t, ErrNotFrozen)
		}
		return left, nil
	})
}

// Frozen returns what is frozen, oldest first. With a file it reads it; its error
// means that everything is.
func (s *Switch) Frozen() ([]Freeze, error) {
	if s.path != "" {
		s.mu.Lock()
		s.load()
		s.mu.Unlock()
	}
	f := s.frozen.Load()
	return slices.Clone(f.list), f.fault
}

// FreezeOn freezes everything when the process gets one of the signals, until stop
// is called, which waits for what has begun.
func (s *Switch) FreezeOn(first os.Signal, more ...os.Signal) (stop func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, append(more, first)...)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case sig := <-ch:
				// An error leaves it frozen in memory, and there is nobody to tell.
				_ = s.Freeze(Everything(), "signal: "+sig.String())
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		signal.Stop(ch)
		cancel()
		wg.Wait()
	}
}

// refuse returns the refusal of a call that is frozen; nil for others.
func (s *Switch) refuse(call *mcpsec.Call) *mcpsec.Denial {
	s.refresh()
	f := s.frozen.Load()
	if f.fault == nil && len(f.list) == 0 || uncounted(call.Method) || call.Method == "initialize" || call.Method == "notifications/cancelled" {
		return nil
	}
	if f.fault != nil {
		return codeFrozen.Deny("").Because(f.fault)
	}
	one := f.everything
	if one == nil && call.Tool != nil {
		one = f.tools[call.Tool.Name]
	}
	if one == nil && len(f.principals) > 0 {
		if one = f.principals[call.Principal.Key()]; one == nil && call.Principal.Subject != "" {
			one = f.principals[call.Principal.Subject]
		}
	}
	if one == nil {
		return nil
	}
	d := codeFrozen.Deny("")
	d.Detail = fmt.Sprintf("%v since %s: %s", one.Target, one.Since.Format(time.RFC3339), one.Reason)
	return d
}
