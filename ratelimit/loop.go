package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Loop says when the calls of one principal look like a loop: an agent that goes
// round in circles costs as much as an attacker. In each field 0 means the default
// and a negative number never.
type Loop struct {
	// Repeats is how often the same tool may be called with the same arguments in
	// Within. At most 64; the default is 20.
	Repeats int
	// Turns is how often two tools may be called in turn, one after the other and no
	// third between them, with no pause of Within. The default is 20.
	Turns int
	// Questions is how many questions one tool call may ask the client, in all its
	// runs. The default is 32.
	Questions int
	// Within is a minute unless it is set.
	Within time.Duration
}

const (
	trailLength = 64
	maxTrails   = 10_000 // principals; a trail takes about 2 KiB
	maxFans     = 10_000 // calls that wait for answers
	fanLife     = time.Hour
)

func (l Loop) withDefaults() Loop {
	for field, standard := range map[*int]int{&l.Repeats: 20, &l.Turns: 20, &l.Questions: 32} {
		if *field == 0 {
			*field = standard
		}
	}
	if l.Within == 0 {
		l.Within = time.Minute
	}
	return l
}

func (l Loop) check() error {
	switch {
	case l.Repeats > trailLength:
		return fmt.Errorf("at most %d Repeats are remembered", trailLength)
	case l.Within < 0:
		return errors.New("field Within must not be negative: 0 means a minute")
	}
	return nil
}

// loops is the control of StageBudget that watches what principals do.
type loops struct {
	Loop

	digests *digester
	clock   func() time.Time

	mu     sync.Mutex
	trails map[digest]*trail
	shared trail // of all who find no room
	sweep  time.Time
	fans   map[string]waiting // by id: calls that asked, and will come back with answers
	clear  time.Time          // of fans, not before
}

var _ mcpsec.Declarer = (*loops)(nil)

func newLoops(l Loop, clock func() time.Time) *loops {
	return &loops{Loop: l.withDefaults(), digests: newDigester(), clock: clock, trails: make(map[digest]*trail), fans: make(map[string]waiting)}
}

func (l *loops) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "ratelimit.loop", Stage: mcpsec.StageBudget}
}

func (l *loops) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		switch {
		case call.Outgoing:
			f, _ := ctx.Value(fanKey{}).(*fan)
			if f != nil && l.Questions > 0 && f.questions.Add(1) > int64(l.Questions) {
				d := codeLoop.Deny("the call asks too many questions")
				d.Detail = fmt.Sprintf("Loop.Questions is %d", l.Questions)
				return nil, d
			}
		case call.Method == methodCallTool && call.Tool != nil:
			if call.Round == 0 { // a call that comes back with answers is no repeat
				if d := l.step(call); d != nil {
					return nil, d
				}
			}
			f := &fan{ctx, l.fan(call)}
			res, err := next(f, call) //nolint:contextcheck // it is the call's, and a counter
			l.wait(call, f, res)
			return res, err
		}
		return next(ctx, call)
	}
}

// A trail is what one principal has done of late: its last calls, and how long two
// tools have taken turns.
type trail struct {
	steps     [trailLength]step // a ring
	next      int
	last      time.Time
	tool, was digest // the last tool, and the one before
	turns     int
}

type step struct {
	what uint64 // principal, tool and arguments
	at   time.Time
}

func (l *loops) step(call *mcpsec.Call) *mcpsec.Denial {
	who, tool := l.digests.of(ofPrincipal, call.Principal.Key()), l.digests.of(ofTool, call.Tool.Name)
	what := who[0] ^ tool[0] ^ maphash.Bytes(l.digests.seeds[ofKey][0], call.Arguments)
	now := l.clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.trail(who, now)
	if l.Repeats > 0 {
		if wait := t.repeats(what, l.Repeats, now.Add(-l.Within)); wait > 0 {
			d := codeLoop.Deny("the same call with the same arguments again and again; retry in " + inWords(wait)).After(wait)
			d.Detail = fmt.Sprintf("Loop.Repeats is %d in %v", l.Repeats, l.Within)
			return d
		}
	}
	turns := 0
	if tool == t.was && tool != t.tool && now.Sub(t.last) < l.Within {
		turns = t.turns + 1
	}
	// The first two calls of 2n are no turn yet.
	if l.Turns > 0 && turns > 2*l.Turns-2 && t != &l.shared { // there, strangers take turns
		wait := max(1, t.last.Add(l.Within).Sub(now))
		d := codeLoop.Deny("two tools are called in turn, again and again; retry in " + inWords(wait)).After(wait)
		d.Detail = fmt.Sprintf("Loop.Turns is %d", l.Turns)
		return d
	}
	t.turns, t.was, t.tool, t.last = turns, t.tool, tool, now
	t.steps[t.next] = step{what, now}
	t.next = (t.next + 1) % trailLength
	return nil
}

// repeats returns how long to wait until the same was done less than most times
// since then; 0 if that is so.
func (t *trail) repeats(what uint64, most int, since time.Time) time.Duration {
	found, oldest := 0, time.Time{}
	for i := range t.steps {
		s := &t.steps[(t.next+i)%trailLength] // oldest first
		if s.what == what && s.at.After(since) {
			if found++; found == 1 {
				oldest = s.at
			}
		}
	}
	if found < most {
		return 0
	}
	return max(1, oldest.Sub(since))
}

// trail returns the trail of a principal. One that has ended is the same as none.
func (l *loops) trail(who digest, now time.Time) *trail {
	if t := l.trails[who]; t != nil {
		return t
	}
	if len(l.trails) >= maxTrails && !now.Before(l.sweep) {
		l.sweep = now.Add(time.Duration(sweepPause))
		for k, t := range l.trails {
			if now.Sub(t.last) >= l.Within {
				delete(l.trails, k)
			}
		}
	}
	if len(l.trails) >= maxTrails {
		return &l.shared
	}
	t := new(trail)
	l.trails[who] = t
	return t
}
