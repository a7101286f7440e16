package redis

import (
	"errors"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// What a call overran during an outage must not be forgotten.
func TestSettlementDuringOutageIsMadeUpFor(t *testing.T) {
	t.Parallel()
	srv := start(t, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, srv, Config{OpenFor: time.Millisecond})
	over := mustTake(t, s, spend("over", daily("a", 100, 10)))
	under := mustTake(t, s, spend("under", daily("a", 100, 10)))
	twice := mustTake(t, s, spend("twice", daily("a", 100, 10)))
	srv.kill()
	for range 2 {
		for _, c := range []struct {
			v      ratelimit.Verdict
			actual int64
		}{{over, 60}, {under, 4}, {twice, 11}} {
			if err := c.v.Hold.Settle(t.Context(), []int64{c.actual}); !errors.Is(err, ErrDown) {
				t.Fatalf("got %v, want ErrDown", err)
			}
		}
	}
	if n := s.Stats().Waiting; n != 3 {
		t.Errorf("%d settlements wait, want 3", n)
	}
	srv.run()
	eventually(t, "the caller settles", func() bool { return twice.Hold.Settle(t.Context(), []int64{11}) == nil })
	eventually(t, "the store settles the others", func() bool {
		_, err := s.Take(t.Context(), call(bucket("b", 1000, time.Hour)))
		return err == nil && s.Stats().Waiting == 0
	})
	if level := mustLevel(t, s, "a"); level != 75 {
		t.Errorf("level %d, want 60 + 4 + 11", level)
	}
}

func TestOverrunWhoseLeaseEndedDuringOutageIsBooked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.replica(Config{OpenFor: time.Millisecond}, 0)
	over := mustTake(t, s, spend("over", daily("a", 100, 10), daily("c", 100, 10)))
	broken := s.scripts.settle
	s.scripts.settle = compose("return redis.error_reply('LOADING for a while')")
	if err := over.Hold.Settle(t.Context(), []int64{30, 3}); !errors.Is(err, ErrDown) {
		t.Fatalf("got %v, want ErrDown", err)
	}
	s.scripts.settle = broken
	w.move(time.Hour)
	mustTake(t, s, call(bucket("b", 1, time.Hour)))
	for key, want := range map[string]int64{"a": 30, "c": 10} {
		if level := mustLevel(t, s, key); level != want {
			t.Errorf("%s: level %d, want %d", key, level, want)
		}
	}
	if err := over.Hold.Settle(t.Context(), []int64{30, 3}); !errors.Is(err, ratelimit.ErrExpired) {
		t.Errorf("got %v, want ErrExpired", err)
	}
}

// Whoever is told that the lease has run out books the overrun; the store must not
// do so as well.
func TestOverrunIsNotBookedBehindCallersBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.replica(Config{}, 0)
	over := mustTake(t, s, spend("over", daily("a", 100, 10)))
	good := s.scripts.settle
	s.scripts.settle = compose("return redis.error_reply('LOADING for a while')")
	if err := over.Hold.Settle(t.Context(), []int64{30}); !errors.Is(err, ErrDown) {
		t.Fatalf("got %v, want ErrDown", err)
	}
	s.scripts.settle = good
	w.move(time.Hour)
	if err := over.Hold.Settle(t.Context(), []int64{30}); !errors.Is(err, ratelimit.ErrExpired) {
		t.Fatalf("got %v, want ErrExpired", err)
	}
	mustTake(t, s, call(bucket("b", 1, time.Hour)))
	if level := mustLevel(t, s, "a"); level != 10 || s.Stats().Waiting != 0 {
		t.Errorf("level %d, want the 10 that were reserved", level)
	}
}

func TestCloseSettlesWhatWaits(t *testing.T) {
	t.Parallel()
	srv := start(t)
	s := open(t, srv, Config{})
	v := mustTake(t, s, spend("1", daily("a", 100, 10)))
	good := s.scripts.settle
	s.scripts.settle = compose("return redis.error_reply('LOADING for a while')")
	if err := v.Hold.Settle(t.Context(), []int64{42}); !errors.Is(err, ErrDown) {
		t.Fatalf("got %v, want ErrDown", err)
	}
	s.scripts.settle = good
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if level := mustLevel(t, open(t, srv, Config{}), "a"); level != 42 {
		t.Errorf("level %d, want 42", level)
	}
}

func TestCloseSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	srv := start(t)
	s := open(t, srv, Config{})
	v := mustTake(t, s, spend("1", daily("a", 100, 10)))
	for range 4 {
		mustTake(t, s, call(bucket("b", 1000, time.Hour)))
	}
	srv.kill()
	_ = v.Hold.Settle(t.Context(), []int64{42})
	if err := s.Close(); !errors.Is(err, ErrDown) {
		t.Errorf("got %v, want ErrDown", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	var b backlog
	for range maxBacklog {
		if !b.add(&hold{}) {
			t.Fatal("full too early")
		}
	}
	if b.add(&hold{}) || b.size() != maxBacklog {
		t.Error("it grows without end")
	}
	for range maxBacklog {
		if b.next() == nil {
			t.Fatal("one is lost")
		}
	}
	if b.next() != nil {
		t.Error("more came out than went in")
	}
}
