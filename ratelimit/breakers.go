package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/sony/gobreaker/v2"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// breakers is the control of StageBudget that keeps a breaker for each tool, and for
// each upstream that several tools share.
type breakers struct {
	trip      Trip
	upstreams map[string]*breaker // by tool

	mu     sync.RWMutex
	byTool map[string]*breaker
}

var (
	_ mcpsec.Declarer = (*breakers)(nil)
	_ mcpsec.Sealer   = (*breakers)(nil)
)

func newBreakers(t Trip, upstreams ...upstream) *breakers {
	b := &breakers{trip: t.withDefaults(), upstreams: make(map[string]*breaker), byTool: make(map[string]*breaker)}
	for _, u := range upstreams {
		one := newBreaker(kindUpstream, u.name, b.trip)
		for _, tool := range u.tools {
			b.upstreams[tool] = one
		}
	}
	return b
}

// The kinds of breakers.
const (
	kindTool     = "tool"
	kindUpstream = "upstream"
)

// An upstream is what several tools depend on.
type upstream struct {
	name  string
	tools []string
}

func (b *breakers) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "ratelimit.breaker", Stage: mcpsec.StageBudget}
}

// Seal refuses an upstream of a tool that the server does not offer: the one that was
// meant would not rest with it.
func (b *breakers) Seal(_ context.Context, inv *mcpsec.Inventory) error {
	var faults []error
	for _, tool := range slices.Sorted(maps.Keys(b.upstreams)) {
		faults = append(faults, offered(inv, fmt.Sprintf("Upstream(%q)", b.upstreams[tool].name), tool))
	}
	return errors.Join(faults...)
}

// noteBreaker is the key of the note on calls that try whether a tool works again.
const noteBreaker = "ratelimit.breaker"

func (b *breakers) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (res mcp.Result, err error) {
		// Names the server does not offer get no breaker, and so take no memory.
		if call.Method != methodCallTool || call.Tool == nil {
			return next(ctx, call)
		}
		tool, up := b.of(call.Tool.Name), b.upstreams[call.Tool.Name]
		one, d := tool.allow(ctx)
		if d != nil {
			return nil, d
		}
		var other *attempt
		if up != nil {
			if other, d = up.allow(ctx); d != nil {
				tool.report(one, errNeutral)
				return nil, d
			}
		}
		if !tool.closed.Load() || up != nil && !up.closed.Load() {
			call.Note(noteBreaker, "half-open: this call tries whether the tool works again")
		}
		outcome := errFailed // of a call that panics
		defer func() {
			tool.report(one, outcome)
			if up != nil {
				up.report(other, outcome)
			}
		}()
		res, err = next(ctx, call)
		outcome = b.trip.judge(ctx, res, err)
		return res, err
	}
}

func (b *breakers) of(tool string) *breaker {
	b.mu.RLock()
	one := b.byTool[tool]
	b.mu.RUnlock()
	if one != nil {
		return one
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byTool[tool] == nil {
		b.byTool[tool] = newBreaker(kindTool, tool, b.trip)
	}
	return b.byTool[tool]
}

// A BreakerState is the state of one circuit breaker.
type BreakerState struct {
	Name     string        `json:"name"`     // of the tool or the upstream
	Kind     string        `json:"kind"`     // "tool" or "upstream"
	State    string        `json:"state"`    // "closed", "half-open" or "open"
	Since    time.Time     `json:"since"`    // of this state
	Opened   int64         `json:"opened"`   // how often it has opened
	Running  int           `json:"running"`  // calls under way that were not judged yet
	Failures uint32        `json:"failures"` // in a row
	Wait     time.Duration `json:"waitNs"`   // until calls are let through to try; 0 unless it is open
}

func (b *breaker) snapshot(now time.Time) BreakerState {
	b.mu.Lock()
	running := len(b.running)
	b.mu.Unlock()
	state, counts := b.cb.State(), b.cb.Counts()
	b.state.Lock()
	defer b.state.Unlock()
	s := BreakerState{
		Name: b.name, Kind: b.what, State: state.String(), Since: b.changed, Opened: b.opened,
		Running: running, Failures: counts.ConsecutiveFailures,
	}
	if state == gobreaker.StateOpen {
		s.Wait = max(0, b.reopens.Sub(now))
	}
	return s
}

// snapshot returns the state of all breakers there are, by kind and name.
func (b *breakers) snapshot() []BreakerState {
	all := make(map[*breaker]bool)
	b.mu.RLock()
	for _, one := range b.byTool {
		all[one] = true
	}
	b.mu.RUnlock()
	for _, one := range b.upstreams {
		all[one] = true
	}
	states := make([]BreakerState, 0, len(all))
	now := time.Now()
	for one := range all {
		states = append(states, one.snapshot(now))
	}
	slices.SortFunc(states, func(a, b BreakerState) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return states
}
