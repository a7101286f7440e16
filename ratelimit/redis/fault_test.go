package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// soon is Take after a fault, as soon as the store finds its way back.
func soon(tb testing.TB, s *Store, req *ratelimit.Request) (v ratelimit.Verdict) {
	tb.Helper()
	eventually(tb, "Redis decides again", func() bool {
		var err error
		v, err = s.Take(context.Background(), req)
		return err == nil
	})
	return v
}

func TestFlushedScriptsAreSentAgain(t *testing.T) {
	t.Parallel()
	srv := start(t)
	s := open(t, srv, Config{})
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		v := mustTake(t, s, spend(fmt.Sprint(i), daily("a", 100, 10)))
		srv.must("SCRIPT", "FLUSH")
		if err := v.Hold.Settle(t.Context(), []int64{1}); err != nil {
			t.Fatal(err)
		}
		srv.must("SCRIPT", "FLUSH")
	}
	if level := mustLevel(t, s, "a"); level != 3 {
		t.Errorf("level %d, want 3", level)
	}
	if n := s.Stats().Failed; n != 0 {
		t.Errorf("%d decisions failed", n)
	}
}

func TestRestartWithoutFileForgetsAndWhatRunsIsBookedAnew(t *testing.T) {
	t.Parallel()
	srv := start(t)
	s := open(t, srv, Config{OpenFor: time.Millisecond})
	b := bucket("b", 1, time.Hour)
	held := mustTake(t, s, &ratelimit.Request{
		ID: "running", Lease: time.Hour, Buckets: []ratelimit.Bucket{b},
		Reservations: []ratelimit.Reservation{daily("a", 100, 10)},
	})
	srv.kill()
	undecided(t, s, call(bucket("other", 1, time.Hour)))
	srv.run()
	if !passes(soon(t, s, call(b))) {
		t.Error("the bucket survived: this test needs another name")
	}
	eventually(t, "the hold is settled", func() bool { return held.Hold.Settle(t.Context(), []int64{30}) == nil })
	if level := mustLevel(t, s, "a"); level != 30 {
		t.Errorf("level %d, want the 30 that were spent", level)
	}
	if err := held.Hold.Settle(t.Context(), []int64{30}); err != nil || mustLevel(t, s, "a") != 30 {
		t.Errorf("booked again: %v", err)
	}
}

func TestRestartWithFileForgetsNothing(t *testing.T) {
	t.Parallel()
	srv := start(t, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, srv, Config{OpenFor: time.Millisecond})
	b := bucket("b", 3, time.Hour)
	for range 3 {
		mustTake(t, s, call(b))
	}
	held := mustTake(t, s, spend("running", daily("a", 100, 70)))
	srv.kill()
	srv.run()
	if passes(soon(t, open(t, srv, Config{}), call(b))) {
		t.Error("a new burst after the restart")
	}
	if v := soon(t, s, spend("next", daily("a", 100, 40))); passes(v) {
		t.Error("the reservation is forgotten")
	}
	eventually(t, "the hold is settled", func() bool { return held.Hold.Settle(t.Context(), []int64{50}) == nil })
	if level := mustLevel(t, s, "a"); level != 50 {
		t.Errorf("level %d, want 50", level)
	}
}

func TestFullMemoryRefusesAndChangesNothing(t *testing.T) {
	t.Parallel()
	srv := start(t, "--maxmemory-policy", "noeviction")
	s := open(t, srv, Config{OpenFor: time.Millisecond, Lease: 1})
	req := &ratelimit.Request{
		ID: "1", Lease: time.Hour, Buckets: []ratelimit.Bucket{bucket("b", 2, time.Hour)},
		Reservations: []ratelimit.Reservation{daily("a", 100, 10)},
	}
	held := mustTake(t, s, req)
	srv.must("CONFIG", "SET", "maxmemory", "1")
	req.ID = "2"
	if _, err := s.Take(t.Context(), req); !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), "OOM") {
		t.Fatalf("got %v, want ErrDown because of OOM", err)
	}
	if err := held.Hold.Settle(t.Context(), []int64{90}); !errors.Is(err, ErrDown) {
		t.Fatalf("settled with %v, want ErrDown", err)
	}
	srv.must("CONFIG", "SET", "maxmemory", "0")
	if v := soon(t, s, req); !passes(v) || v.Spent[0] != 20 {
		t.Errorf("got %+v, want the second token and a level of 20", v)
	}
}

// What somebody else has written to a key of ours refuses the calls that need it,
// and nobody else's.
func TestUnusableKeyRefusesOnlyThoseWhoNeedIt(t *testing.T) {
	t.Parallel()
	srv := start(t)
	s := open(t, srv, Config{OpenFor: time.Hour})
	for name, spoil := range map[string]func(bucket, account string){
		"wrong type":   func(b, a string) { srv.must("RPUSH", b, "x"); srv.must("SET", a, "x") },
		"no number":    func(b, a string) { srv.must("SET", b, "yesterday"); srv.must("HSET", a, "debt", "none") },
		"short number": func(b, a string) { srv.must("SET", b, "5"); srv.must("HSET", a, "x", "5") },
		"not finite":   func(b, a string) { srv.must("SET", b, "nan123456789"); srv.must("HSET", a, "debt", "nan") },
		"infinite":     func(b, a string) { srv.must("SET", b, "inf000000000"); srv.must("HSET", a, "last", "inf") },
		"negative":     func(b, a string) { srv.must("SET", b, "-99999999999999999999"); srv.must("HSET", a, "debt", "-5") },
		"hexadecimal":  func(b, a string) { srv.must("SET", b, "0x7fff000000000"); srv.must("HSET", a, "debt", "0x10") },
	} {
		t.Run(name, func(t *testing.T) {
			srv.must("FLUSHALL")
			spoil(s.names.bucket("b"), s.names.account("a"))
			for range failures + 1 {
				undecided(t, s, call(bucket("b", 1, time.Hour)))
				undecided(t, s, spend("1", daily("a", 100, 1)))
			}
			if !passes(mustTake(t, s, call(bucket("c"+name, 1, time.Hour)))) {
				t.Error("refused another bucket")
			}
			if n := srv.must("EXISTS", s.names.hold("1")); n != int64(0) {
				t.Error("a hold was left behind")
			}
		})
	}
}

// An impatient client must not be able to open the breaker for all.
func TestCallersWhoGiveUpAreNoFailuresOfRedis(t *testing.T) {
	t.Parallel()
	srv := start(t)
	s := open(t, srv, Config{OpenFor: time.Hour})
	srv.freeze()
	for range 2 * failures {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := s.Take(ctx, call(bucket("b", 1, time.Hour)))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want the context's error", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Take(ctx, call(bucket("b", 1, time.Hour))); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the context's error", err)
	}
	srv.thaw()
	if s.Stats().Open {
		t.Error("the breaker is open")
	}
	mustTake(t, s, call(bucket("b", 1, time.Hour)))
}

// An account that was deleted is not brought back by what is returned to it: it
// would live for ever.
func TestNothingIsReturnedToAccountThatIsGone(t *testing.T) {
	t.Parallel()
	srv := start(t)
	s := open(t, srv, Config{})
	v := mustTake(t, s, spend("1", daily("a", 100, 10), daily("b", 100, 10)))
	srv.must("DEL", s.names.account("a"))
	if err := v.Hold.Settle(t.Context(), []int64{3, 3}); err != nil {
		t.Fatal(err)
	}
	if srv.must("EXISTS", s.names.account("a")) != int64(0) || mustLevel(t, s, "b") != 3 {
		t.Error("it was brought back, or the other not settled")
	}
}

func TestLostAnswerOfSettlementIsNotRepeated(t *testing.T) {
	t.Parallel()
	srv := start(t)
	s := open(t, srv, Config{})
	v := mustTake(t, s, spend("1", daily("a", 100, 10)))
	if err := v.Hold.Settle(t.Context(), []int64{25}); err != nil {
		t.Fatal(err)
	}
	h := v.Hold.(*hold)
	h.done = false // as if no answer had come
	if err := h.Settle(t.Context(), []int64{25}); err != nil {
		t.Fatal(err)
	}
	if level := mustLevel(t, s, "a"); level != 25 {
		t.Errorf("level %d, want 25", level)
	}
}
