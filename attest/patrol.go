package attest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const (
	expiryNotice = 24 * time.Hour  // how long before the end of the manifest the alarm rings
	beat         = time.Minute     // how often the clock is looked at
	atMost       = 20              // reading may take this part of the time, at most
	rereadLimit  = 5 * time.Minute // for one round of reading
)

// A patrol is what runs in the background: it reads watched files anew, looks at the clock
// and at the executable on the disk. What it finds only ever adds to what is refused.
type patrol struct {
	seal    *seal
	now     func() time.Time
	every   time.Duration
	wake    chan struct{}
	replace func(context.Context) string // what the executable's file has become; empty if it is as it was

	warned, gone bool // of the expiry, of the executable
	due          time.Time
}

// startPatrol starts the background. The Attestor's lock is held.
func (a *Attestor) startPatrol(s *seal) {
	p := &patrol{seal: s, now: a.now, every: a.rehash, wake: make(chan struct{}, 1), due: a.now().Add(a.rehash)}
	if exe, err := a.executable(); err == nil && exe != nil {
		p.replace = func(ctx context.Context) string { return replaced(ctx, *exe) }
	}
	for _, w := range s.watches {
		w.wake = p.ask
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	if len(s.watches) > 0 {
		events, err := notifier(s.watches)
		if err != nil {
			slog.Warn("mcpsec attest: changes of files are found by looking only", "reason", err.Error())
		} else if events != nil {
			a.held = append(a.held, events)
			a.under.Go(func() { listen(events, p.ask) })
		}
	}
	a.under.Go(func() { p.run(ctx) })
}

// ask has the patrol look, soon. It never blocks.
func (p *patrol) ask() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// listen turns every notification of the kernel into a look. What it says is not used.
func listen(events io.Reader, ask func()) {
	buf := make([]byte, 4096)
	for {
		if _, err := events.Read(buf); err != nil {
			return // closed
		}
		ask()
	}
}

func (p *patrol) run(ctx context.Context) {
	tick := time.NewTicker(min(p.every, beat))
	defer tick.Stop()
	p.clock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
			p.look(ctx)
		case <-tick.C:
			p.round(ctx)
		}
	}
}

// look reads anew what may have changed.
func (p *patrol) look(ctx context.Context) {
	for _, w := range p.seal.watches {
		if w.doubtful() {
			p.reread(ctx, w)
		}
	}
}

// round does what is due.
func (p *patrol) round(ctx context.Context) {
	p.clock()
	p.look(ctx)
	began := p.now()
	if began.Before(p.due) {
		return
	}
	for _, w := range p.seal.watches {
		p.reread(ctx, w)
	}
	p.program(ctx)
	p.due = began.Add(max(p.every, atMost*p.now().Sub(began)))
}

func (p *patrol) reread(ctx context.Context, w *watch) {
	ctx, cancel := context.WithTimeout(ctx, rereadLimit)
	defer cancel()
	err := w.rehash(ctx)
	switch f := w.wire.tripped(); {
	case f != nil:
		p.ring(f)
	case err == nil:
		w.told = ""
	case w.told != err.Error() && !errors.Is(err, context.Canceled): // once, however often it is tried
		w.told = err.Error()
		slog.Warn("mcpsec attest: calls are refused until the file can be read", "artifact", w.Name, "reason", err.Error())
	}
}

// ring raises the alarm, once for each finding, whoever found it.
func (p *patrol) ring(f *finding) {
	if !f.rung.Swap(true) {
		p.seal.alarm(mcpsec.Alarm{Code: f.code.Name, Detail: f.detail})
	}
}

// clock gives notice before the manifest expires.
func (p *patrol) clock() {
	left := p.seal.expires.Sub(p.now().Round(0))
	if p.warned || left > expiryNotice {
		return
	}
	p.warned = true
	p.seal.alarm(mcpsec.Alarm{Code: codeExpiring.Name, Detail: fmt.Sprintf(
		"the manifest expires at %s, in %s: sign a new one", p.seal.expires.Format(time.RFC3339), max(left, 0).Round(time.Minute))})
}

// program looks whether the next start would run something else.
func (p *patrol) program(ctx context.Context) {
	if p.replace == nil || p.gone {
		return
	}
	if what := p.replace(ctx); what != "" && ctx.Err() == nil {
		p.gone = true
		p.seal.alarm(mcpsec.Alarm{Code: codeExecutableReplaced.Name, Detail: what})
	}
}
