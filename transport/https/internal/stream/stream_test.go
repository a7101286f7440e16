package stream

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A bench is a registry whose clock the test moves.
type bench struct {
	*Registry

	mu  sync.Mutex
	now time.Time
}

func newBench(change func(*Limits)) *bench {
	b := &bench{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	none := Bounds{-1, -1}
	l := Limits{Reading: none, Call: none, Session: none, Stream: none, Weight: none, Age: 10 * time.Hour, Idle: 5 * time.Minute, Warn: 30 * time.Second, Kill: time.Second}
	if change != nil {
		change(&l)
	}
	b.Registry = New(l, func() time.Time {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now
	})
	return b
}

// pass lets time pass, and sweeps.
func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	b.now = b.now.Add(d)
	b.mu.Unlock()
	b.Sweep()
}

// holder returns credentials of a subject that expire after a while; 0 is never.
func (b *bench) holder(subject, address string, life time.Duration) *Holder {
	p := mcpsec.Principal{Rung: mcpsec.Token, Subject: subject}
	h := &Holder{Principal: p, Key: p.Key(), Address: address}
	if life > 0 {
		h.Expires = b.Registry.now().Add(life)
	}
	return h
}

// target remembers what happened to it.
type target struct {
	mu     sync.Mutex
	cause  Cause
	killed int
	warned int
	beats  int
	busy   bool
}

func (t *target) End(c Cause)         { t.mu.Lock(); t.cause = c; t.mu.Unlock() }
func (t *target) Kill()               { t.mu.Lock(); t.killed++; t.mu.Unlock() }
func (t *target) Warn(time.Time) bool { t.mu.Lock(); t.warned++; t.mu.Unlock(); return true }
func (t *target) Beat(now time.Time)  { t.mu.Lock(); t.beats++; t.mu.Unlock() }
func (t *target) Busy() bool          { return t.busy }

func (b *bench) enter(t *testing.T, kind Kind, h *Holder) (*Entry, *target) {
	t.Helper()
	x := &target{}
	e, err := b.Enter(kind, h, x)
	if err != nil {
		t.Fatal(err)
	}
	return e, x
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	_, s := b.enter(t, Stream, b.holder("a", "1", time.Minute))
	_, c := b.enter(t, Call, b.holder("a", "1", time.Minute))
	_, n := b.enter(t, Session, b.holder("a", "1", time.Minute))
	_, forever := b.enter(t, Stream, b.holder("b", "1", 0))
	b.pass(29 * time.Second)
	if s.warned != 0 {
		t.Error("warned too early")
	}
	b.pass(time.Second)
	b.pass(time.Second)
	if s.warned != 1 || s.cause != 0 {
		t.Errorf("warned %d times, ended by %v", s.warned, s.cause)
	}
	b.pass(29 * time.Second)
	if s.cause != Expired || s.killed != 0 {
		t.Errorf("ended by %v, killed %d times", s.cause, s.killed)
	}
	if c.cause != 0 || n.cause != 0 || forever.cause != 0 || forever.warned != 0 {
		t.Errorf("call %v, session %v, without expiry %v", c.cause, n.cause, forever.cause)
	}
	b.pass(time.Second)
	if s.killed == 0 {
		t.Error("what does not end is not killed")
	}
}

func TestEarlyEnd(t *testing.T) {
	t.Parallel()
	for name, still := range map[string]func() error{
		"revoked": func() error { return errors.New("revoked") },
		"panic":   func() error { panic("bug") },
	} {
		for kind := range kinds {
			b := newBench(nil)
			h := b.holder("a", "1", time.Hour)
			h.Still = still
			_, x := b.enter(t, kind, h)
			b.pass(0)
			if x.cause != Invalid || Invalid.Gentle() {
				t.Errorf("%s: kind %d: ended by %v", name, kind, x.cause)
			}
		}
	}
}

func TestAgeAndIdle(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	used, n := b.enter(t, Session, b.holder("a", "1", 0))
	_, idle := b.enter(t, Session, b.holder("a", "1", 0))
	_, s := b.enter(t, Stream, b.holder("a", "1", 0))
	for range 149 {
		b.pass(4 * time.Minute)
		used.Touch()
	}
	if idle.cause != Idle || n.cause != 0 || s.cause != 0 {
		t.Errorf("idle %v, used %v, stream %v", idle.cause, n.cause, s.cause)
	}
	b.pass(4 * time.Minute)
	if n.cause != Aged || s.cause != Aged {
		t.Errorf("session %v, stream %v", n.cause, s.cause)
	}
}

// Whose next credentials keep a stream, and whose do not.
func TestRenewal(t *testing.T) {
	t.Parallel()
	gone := func() error { return errors.New("revoked") }
	for _, tc := range []struct {
		name  string
		renew func(b *bench, e *Entry)
		still func() error // of the old ones
		keeps bool
	}{
		{"same principal, same address", func(b *bench, _ *Entry) { b.Renew(b.holder("a", "1", time.Hour)) }, nil, true},
		{"same principal, another address (a thief's stream)", func(b *bench, _ *Entry) { b.Renew(b.holder("a", "2", time.Hour)) }, nil, false},
		{"another principal", func(b *bench, _ *Entry) { b.Renew(b.holder("b", "1", time.Hour)) }, nil, false},
		{"same session, another address", func(b *bench, e *Entry) { e.Renew(b.holder("a", "2", time.Hour)) }, nil, true},
		{"same session, another principal", func(b *bench, e *Entry) { e.Renew(b.holder("b", "2", time.Hour)) }, nil, false},
		{"shorter credentials", func(b *bench, e *Entry) { e.Renew(b.holder("a", "1", time.Second)); b.pass(2 * time.Second) }, nil, false},
		{"shorter credentials do not shorten", func(b *bench, e *Entry) {
			e.Renew(b.holder("a", "1", time.Hour))
			e.Renew(b.holder("a", "1", time.Second))
		}, nil, true},
		{"revoked, and another address", func(b *bench, _ *Entry) { b.Renew(b.holder("a", "2", time.Hour)) }, gone, false},
		{"revoked, and shorter ones from the same address", func(b *bench, _ *Entry) { b.Renew(b.holder("a", "1", time.Second)) }, gone, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(nil)
			h := b.holder("a", "1", time.Minute)
			h.Still = tc.still
			e, x := b.enter(t, Stream, h)
			tc.renew(b, e)
			b.pass(2 * time.Minute)
			if kept := x.cause == 0; kept != tc.keeps {
				t.Errorf("kept: %t, ended by %v", kept, x.cause)
			}
		})
	}
}

// A client certificate proves who asks, wherever it asks from.
func TestRenewalByCertificate(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	old := b.holder("a", "1", time.Minute)
	old.Certified, old.Still = true, func() error { return errors.New("the key is gone") }
	_, x := b.enter(t, Stream, old)
	next := b.holder("a", "2", 30*time.Second)
	next.Certified = true
	b.Renew(next)
	b.pass(time.Second)
	if x.cause != 0 {
		t.Errorf("ended by %v", x.cause)
	}
	b.pass(30 * time.Second)
	if x.cause != Expired {
		t.Errorf("ended by %v", x.cause)
	}
}

func TestWarnedAgainAfterRenewal(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	_, x := b.enter(t, Stream, b.holder("a", "1", time.Minute))
	b.pass(45 * time.Second)
	b.Renew(b.holder("a", "1", time.Minute))
	b.pass(45 * time.Second)
	if x.warned != 2 {
		t.Errorf("warned %d times", x.warned)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	b := newBench(func(l *Limits) { l.Call = Bounds{Total: 3, Per: 2}; l.Reading = Bounds{Total: 1, Per: 1} })
	first, _ := b.enter(t, Call, b.holder("a", "1", 0))
	b.enter(t, Call, b.holder("a", "1", 0))
	if _, err := b.Enter(Call, b.holder("a", "2", 0), &target{}); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	b.enter(t, Call, b.holder("b", "1", 0))
	if _, err := b.Enter(Call, b.holder("c", "1", 0), &target{}); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	first.Leave()
	first.Leave()
	b.enter(t, Call, b.holder("c", "1", 0))
	if got := b.Count(Call); got != 3 {
		t.Errorf("%d calls", got)
	}
	release, err := b.Reserve(Reading, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Reserve(Reading, "a"); err == nil {
		t.Error("a second was reserved")
	}
	release()
	if release, err = b.Reserve(Reading, "a"); err != nil {
		t.Error(err)
	} else {
		release()
	}
}

func TestLoads(t *testing.T) {
	t.Parallel()
	b := newBench(func(l *Limits) { l.Weight = Bounds{Total: 100, Per: 60} })
	first, second, other := b.Load("a"), b.Load("a"), b.Load("b")
	for _, step := range []struct {
		load  *Load
		bytes int
		want  error
	}{
		{first, 50, nil}, {second, 11, ErrFull}, {second, 10, nil}, {other, 41, ErrBusy}, {other, 40, nil},
	} {
		if err := step.load.Add(step.bytes); !errors.Is(err, step.want) {
			t.Errorf("%d bytes: %v, want %v", step.bytes, err, step.want)
		}
	}
	moved := first.Move()
	first.Release()
	if n := b.Count(Weight); n != 100 {
		t.Errorf("%d bytes after a load was moved", n)
	}
	for _, l := range []*Load{moved, moved, second, other, nil, (*Load)(nil).Move()} {
		l.Release()
	}
	if n := b.Count(Weight); n != 0 || len(b.groups) != 0 {
		t.Errorf("%d bytes and %d groups are left", n, len(b.groups))
	}
	b.Close()
	if err := first.Add(1); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// What was open leaves nothing behind, whatever the number of principals.
func TestPrincipalsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(func(l *Limits) { l.Stream.Per = 0 })
	for i := range 1000 {
		h := b.holder(fmt.Sprint(i), "1", 0)
		e, _ := b.enter(t, Session, h)
		if _, err := b.Enter(Stream, b.holder(fmt.Sprint("x", i), "1", 0), &target{}); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		b.Renew(h)
		e.Leave()
	}
	b.pass(0)
	if len(b.groups) != 0 || len(b.all) != 0 {
		t.Errorf("%d groups and %d entries are left", len(b.groups), len(b.all))
	}
	for _, e := range b.spare[:cap(b.spare)] {
		if e != nil {
			t.Fatal("the sweep keeps what has ended")
		}
	}
}

func TestEndAndClose(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	_, a := b.enter(t, Stream, b.holder("a", "1", 0))
	_, c := b.enter(t, Call, b.holder("a", "1", 0))
	_, other := b.enter(t, Stream, b.holder("b", "1", 0))
	other.busy = true
	if n := b.End(func(p mcpsec.Principal) bool { return p.Subject == "a" }, Frozen); n != 2 {
		t.Errorf("%d were ended", n)
	}
	if n := b.End(func(p mcpsec.Principal) bool { return p.Subject == "a" }, Frozen); n != 0 {
		t.Errorf("%d were ended twice", n)
	}
	if a.cause != Frozen || c.cause != Frozen || other.cause != 0 {
		t.Errorf("%v %v %v", a.cause, c.cause, other.cause)
	}
	b.Close(Stream)
	if other.cause != 0 {
		t.Error("a busy one was ended")
	}
	if _, err := b.Enter(Call, b.holder("c", "1", 0), &target{}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	other.busy = false
	b.Close(Stream)
	if other.cause != Shutdown || !Shutdown.Gentle() || Shutdown.String() != "shutdown" || Cause(99).String() != "" {
		t.Errorf("%v", other.cause)
	}
	b.Kill()
	if a.killed == 0 || other.killed == 0 {
		t.Error("not killed")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	b := newBench(func(l *Limits) { l.Idle = time.Nanosecond })
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 200 {
				h := b.holder(fmt.Sprint(i%3), "1", time.Minute)
				e, err := b.Enter(Kind(i%int(kinds)), h, &target{})
				if err != nil {
					t.Error(err)
					return
				}
				b.Renew(h)
				e.Touch()
				b.pass(time.Millisecond)
				b.End(func(mcpsec.Principal) bool { return i == 0 }, Frozen)
				e.Leave()
			}
		})
	}
	all.Wait()
	if len(b.groups) != 0 || len(b.all) != 0 {
		t.Errorf("%d groups and %d entries are left", len(b.groups), len(b.all))
	}
}

// BenchmarkSweep is one look at 10,000 streams.
func BenchmarkSweep(b *testing.B) {
	r := newBench(nil)
	for i := range 10_000 {
		h := r.holder(fmt.Sprint(i), "1", time.Hour)
		h.Still = func() error { return nil }
		if _, err := r.Enter(Stream, h, &target{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Sweep()
	}
}

// BenchmarkCall is what a call costs the registry.
func BenchmarkCall(b *testing.B) {
	r := newBench(nil)
	h, x := r.holder("a", "1", time.Hour), &target{}
	b.ReportAllocs()
	for b.Loop() {
		r.Renew(h)
		e, err := r.Enter(Call, h, x)
		if err != nil {
			b.Fatal(err)
		}
		e.Leave()
	}
}

// Two hosts that share a token each keep their own stream with it.
func TestRenewalFromTwoAddresses(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	_, x := b.enter(t, Stream, b.holder("a", "1", time.Minute))
	_, y := b.enter(t, Stream, b.holder("a", "2", time.Minute))
	token := new(int)
	for _, address := range []string{"1", "2"} {
		h := b.holder("a", address, time.Hour)
		h.Shown = token
		b.Renew(h)
	}
	b.pass(2 * time.Minute)
	if x.cause != 0 || y.cause != 0 {
		t.Errorf("ended by %v and %v", x.cause, y.cause)
	}
}
