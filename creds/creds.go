package creds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const (
	controlName    = "creds"
	methodCallTool = "tools/call"
)

// An Injector is a control that gives each run of a tool a [Handle] on the
// credentials bound to that tool. Make one with [New]. It is safe for concurrent
// use. The zero value binds nothing: every tool then gets a handle on nothing.
type Injector struct {
	bindings []Binding
	tools    map[string]map[string]Grant // by tool, by name
	closed   atomic.Bool
	now      func() time.Time // nil means time.Now
}

var (
	_ mcpsec.Declarer = (*Injector)(nil)
	_ mcpsec.Checker  = (*Injector)(nil)
	_ mcpsec.Sealer   = (*Injector)(nil)
	_ io.Closer       = (*Injector)(nil)
)

// A Binding says which credentials a tool gets. Make one with [ForTool].
type Binding struct {
	tool   string
	grants []Grant
}

// ForTool binds credentials to a tool. Each tool is bound once.
func ForTool(tool string, grants ...Grant) Binding {
	return Binding{tool, append([]Grant(nil), grants...)}
}

// New returns a control that gives tools the credentials bound to them. A tool
// without a binding gets none. What is wrong with the bindings, [mcpsec.New]
// reports.
func New(bindings ...Binding) *Injector {
	in := &Injector{bindings: append([]Binding(nil), bindings...), tools: make(map[string]map[string]Grant, len(bindings))}
	for _, b := range in.bindings {
		grants := make(map[string]Grant, len(b.grants))
		for _, g := range b.grants {
			grants[g.spec.name] = g
		}
		in.tools[b.tool] = grants
	}
	return in
}

// Declare says that the control is called "creds" and stands next to the handler.
func (in *Injector) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: controlName, Stage: mcpsec.StageCreds, Sole: true}
}

// Check reports every fault of the bindings: a tool or name that is empty or given
// twice, a grant without provider, and what a provider that is a [Checker] says.
func (in *Injector) Check() error {
	if in == nil {
		return errors.New("creds: nil Injector")
	}
	var faults []error
	bound := make(map[string]bool, len(in.bindings))
	for i, b := range in.bindings {
		switch {
		case b.tool == "":
			faults = append(faults, fmt.Errorf("creds: binding %d has no tool", i+1))
		case bound[b.tool]:
			faults = append(faults, fmt.Errorf("creds: tool %q is bound twice: give ForTool all its grants at once", b.tool))
		case len(b.grants) == 0:
			faults = append(faults, fmt.Errorf("creds: tool %q is bound to nothing", b.tool))
		}
		bound[b.tool] = true
		named := make(map[string]bool, len(b.grants))
		for _, g := range b.grants {
			err := g.check()
			if named[g.spec.name] {
				err = errors.Join(err, errors.New("is granted twice"))
			}
			if named[g.spec.name] = true; err != nil {
				faults = append(faults, fmt.Errorf("creds: tool %q, credential %q: %w", b.tool, g.spec.name, err))
			}
		}
	}
	return errors.Join(faults...)
}

func (g Grant) check() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its provider panicked with a %T", p)
		}
	}()
	switch {
	case g.fault != nil:
		return g.fault
	case g.spec.name == "" || len(g.spec.name) > 64:
		return fmt.Errorf("a name has 1 to 64 characters, this one %d", len(g.spec.name))
	case strings.Trim(g.spec.name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") != "":
		return errors.New("a name has only A-Z a-z 0-9 _ - and full stop")
	case g.provider == nil:
		return errors.New("has no provider")
	}
	if c, ok := g.provider.(Checker); ok {
		return c.Check(g.spec)
	}
	return nil
}

// Seal refuses a binding for a tool that the server does not offer, which is most
// often a misspelt name, and for one whose handler has no guard of its own.
func (in *Injector) Seal(_ context.Context, inv *mcpsec.Inventory) error {
	offered := make(map[string]*mcpsec.Tool, len(inv.Tools))
	for _, t := range inv.Tools {
		offered[t.Name] = t
	}
	var faults []error
	for _, b := range in.bindings {
		switch t := offered[b.tool]; {
		case t == nil:
			faults = append(faults, fmt.Errorf("creds: tool %q is bound, but the server does not offer it: correct the name or remove the binding", b.tool))
		case !t.Guarded:
			faults = append(faults, fmt.Errorf("creds: tool %q is bound, but its handler has no guard of its own: add it with mcpsec.AddTool", b.tool))
		}
	}
	return errors.Join(faults...)
}

// Wrap lends a handle to every run of a tool and closes it when the run is over,
// however it ends.
func (in *Injector) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Method != methodCallTool || call.Outgoing {
			return next(ctx, call)
		}
		s := &scope{Context: ctx}
		s.handle.in, s.handle.call, s.handle.parent = in, call, ctx
		if call.Tool != nil {
			s.handle.grants = in.tools[call.Tool.Name]
		}
		defer s.handle.close()
		return next(s, call) //nolint:contextcheck // s is derived from ctx
	}
}

// Close closes every provider that is an io.Closer: an Injector owns the providers
// it was given. Credentials asked for afterwards are refused.
func (in *Injector) Close() error {
	if in == nil {
		return nil
	}
	in.closed.Store(true)
	var faults []error
	for _, b := range in.bindings {
		for _, g := range b.grants {
			if err := g.close(); err != nil {
				faults = append(faults, fmt.Errorf("creds: tool %q, credential %q: %w", b.tool, g.spec.name, err))
			}
		}
	}
	return errors.Join(faults...)
}

func (g Grant) close() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its provider panicked with a %T", p)
		}
	}()
	if c, ok := g.provider.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (in *Injector) time() time.Time {
	if in.now != nil {
		return in.now()
	}
	return time.Now()
}
