package creds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

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
	tools    map[string]map[string]*source // by tool, by name
	fixed    []*issued                     // secrets that are never issued anew
	cache    *cache                        // nil in the zero value
	closed   atomic.Bool
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
	return Binding{tool, slices.Clone(grants)}
}

// New returns a control that gives tools the credentials bound to them. A tool
// without a binding gets none. What is wrong with the bindings, [mcpsec.New]
// reports.
func New(bindings ...Binding) *Injector {
	in := &Injector{bindings: slices.Clone(bindings), tools: make(map[string]map[string]*source, len(bindings)), cache: newCache()}
	all := sources{services: make(map[any]*service), all: make(map[sourceKey]*source)}
	for _, b := range in.bindings {
		bound := make(map[string]*source, len(b.grants))
		for _, g := range b.grants {
			bound[g.name()] = all.of(g)
		}
		in.tools[b.tool] = bound
	}
	for _, s := range all.all {
		if s.fixed != nil {
			in.fixed = append(in.fixed, s.fixed)
		}
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
			if named[g.name()] {
				err = errors.Join(err, errors.New("is granted twice"))
			}
			if named[g.name()] = true; err != nil {
				faults = append(faults, fmt.Errorf("creds: tool %q, credential %q: %w", b.tool, g.name(), err))
			}
		}
	}
	return errors.Join(faults...)
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
