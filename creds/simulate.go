package creds

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// ErrNotTold says of a credential that its provider is no [Describer], or no [Prober].
var ErrNotTold = errors.New("the provider cannot tell")

// A Described credential is what a call would be allowed to do with it.
type Described struct {
	Tool, Name string
	Access     Access
	Err        error // why there is no Access, such as [ErrNotTold] or arguments that are refused
}

// Simulate says what a call of the tool with these arguments, on behalf of the
// principal, would be allowed to do with each of its credentials, sorted by name.
// Nothing is issued and no network is used. Its error is that the tool has no binding,
// or that the arguments are no strict JSON.
func Simulate(in *Injector, tool string, args json.RawMessage, p mcpsec.Principal) ([]Described, error) {
	bound, ok := in.boundTo(tool)
	if !ok {
		return nil, fmt.Errorf("creds: tool %q has no binding, and so no credentials", tool)
	}
	if len(args) > 0 {
		if err := mcpsec.CheckJSON(args); err != nil {
			return nil, fmt.Errorf("creds: arguments: %w", err)
		}
	}
	req := Request{Tool: tool, Principal: p, Arguments: args}
	all := make([]Described, 0, len(bound))
	for name, s := range bound {
		d := Described{Tool: tool, Name: name}
		d.Access, d.Err = s.describe(req)
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Described) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func (in *Injector) boundTo(tool string) (map[string]*source, bool) {
	if in == nil {
		return nil, false
	}
	bound, ok := in.tools[tool]
	return bound, ok
}

// describe also plans, because what cannot be planned is refused.
func (s *source) describe(r Request) (a Access, err error) {
	defer contain(&err, "the provider")
	d, ok := s.provider.(Describer)
	if s.planner != nil {
		_, err = s.plan(r)
	}
	switch {
	case err != nil:
		return Access{}, err
	case !ok:
		return Access{}, ErrNotTold
	}
	return d.Describe(s.spec, r)
}

// A Probed credential has been tried against the real service.
type Probed struct {
	Tool, Name string
	Access     Access
	Took       time.Duration
	Err        error // why it does not work, or [ErrNotTold]
}

const (
	// probeTimeout bounds how long one credential is tried.
	probeTimeout = 10 * time.Second
	// maxProbes bounds how many are tried at the same time.
	maxProbes = 8
)

// Probe proves for each credential that is bound to the tools, or to any tool if none
// is named, that it works at the real service, without handing it to anybody. Each is
// tried once, however many tools have it, and for ten seconds at most. The result is
// sorted by tool and name. The error is that a tool has no binding.
func Probe(ctx context.Context, in *Injector, tools ...string) ([]Probed, error) {
	if in == nil {
		return nil, errors.New("creds: nil Injector")
	}
	if len(tools) == 0 {
		for tool := range in.tools {
			tools = append(tools, tool)
		}
	}
	var all []Probed
	once := make(map[*source]*trial)
	for _, tool := range slices.Compact(slices.Sorted(slices.Values(tools))) {
		bound, ok := in.boundTo(tool)
		if !ok {
			return nil, fmt.Errorf("creds: tool %q has no binding, and so no credentials", tool)
		}
		for name, s := range bound {
			once[s] = &trial{source: s}
			all = append(all, Probed{Tool: tool, Name: name})
		}
	}
	slices.SortFunc(all, func(a, b Probed) int {
		return cmp.Or(cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Name, b.Name))
	})
	try(ctx, once)
	for i := range all {
		t := once[in.tools[all[i].Tool][all[i].Name]]
		all[i].Access, all[i].Took, all[i].Err = t.access, t.took, t.err
	}
	return all, nil
}

// A trial is one probe.
type trial struct {
	source *source
	access Access
	took   time.Duration
	err    error
}

func try(ctx context.Context, trials map[*source]*trial) {
	var wg sync.WaitGroup
	seats := make(chan struct{}, maxProbes)
	for _, t := range trials {
		wg.Go(func() {
			seats <- struct{}{}
			defer func() { <-seats }()
			t.run(ctx)
		})
	}
	wg.Wait()
}

func (t *trial) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	began := time.Now()
	defer func() { t.took = time.Since(began) }()
	done := make(chan trial, 1)
	go func() {
		answer := trial{err: errNoAnswer} // if the provider ends the goroutine
		defer func() { done <- answer }()
		answer.access, answer.err = t.source.probe(ctx)
	}()
	select {
	case answer := <-done:
		t.access, t.err = answer.access, answer.err
	case <-ctx.Done(): // whatever the provider does
		select {
		case answer := <-done:
			t.access, t.err = answer.access, answer.err
		case <-time.After(time.Second):
			t.err = ctx.Err()
		}
	}
}

func (s *source) probe(ctx context.Context) (a Access, err error) {
	defer contain(&err, "the provider")
	if err := ctx.Err(); err != nil {
		return Access{}, err
	}
	if p, ok := s.provider.(Prober); ok {
		return p.Probe(ctx, s.spec)
	}
	if c, ok := s.provider.(Checker); ok {
		if err := c.Check(s.spec); err != nil {
			return Access{}, err
		}
	}
	return Access{}, ErrNotTold
}
