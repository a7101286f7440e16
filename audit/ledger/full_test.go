package ledger

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// outage appends while there is no space, and returns how many records are not in
// the log: those it was told of, and the best-effort ones.
func outage(ctx context.Context, l *Ledger, rounds int) (lost uint64, _ error) {
	for i := range rounds {
		if err := l.Append(ctx, &Entry{Object: object("x"), Class: Require}); err == nil {
			return 0, fmt.Errorf("round %d: a required record was taken without space for it", i)
		}
		if err := l.Append(ctx, &Entry{Object: object("x"), Class: BestEffort}); err != nil {
			return 0, fmt.Errorf("round %d: a best-effort record was refused: %w", i, err)
		}
		if err := l.Append(ctx, &Entry{Object: object("x"), Class: Bounded}); err == nil {
			return 0, fmt.Errorf("round %d: a bounded record was taken without space for it", i)
		}
		lost += 3
	}
	return lost, nil
}

// The space ends at every byte of a record: nothing of it stays, what is refused is
// what is missing, and the count of the gap is exact.
func TestNoSpaceAtEveryByteOfARecord(t *testing.T) {
	t.Parallel()
	line := int64(len(appendRecord(nil, 1, &tlog.Hash{}, object("x"))) + 1)
	for left := range line {
		dir, f := folder(t), newFaults()
		l := startFaulty(t, dir, Options{}, f)
		must(t, l, "a")
		f.full(left)
		lost, err := outage(t.Context(), l, 2)
		if err != nil {
			t.Fatal(left, err)
		}
		if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 || r.Torn > 0 {
			t.Errorf("%d bytes left: something of a refused record stays: %+v %v", left, r, err)
		}
		if got := l.Lost(); got != lost {
			t.Errorf("%d bytes left: %d counted as lost, and it is %d", left, got, lost)
		}
		f.leave(-1)
		recovers(t, l)
		must(t, l, "b")
		stop(t, l)
		if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 || r.Lost != lost {
			t.Fatalf("%d bytes left: lost %d: %+v %v", left, lost, r, err)
		}
		holds(t, dir, "a", "b")
	}
}

// The reserve is given up for a record that says that there is no space.
func TestReserveIsSpentOnTheLastRecord(t *testing.T) {
	t.Parallel()
	dir, f := folder(t), newFaults()
	l := startFaulty(t, dir, Options{}, f)
	must(t, l, "a")
	f.leave(50)
	refused(t, l, "x")
	if !strings.Contains(readAll(t, dir), `"reason":"there is no space"`) {
		t.Error("no record says that there is no space")
	}
	f.leave(-1)
	recovers(t, l)
	stop(t, l)
	if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 || r.Lost != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

// A flood during an outage costs no memory.
func TestFloodWithoutSpaceIsBounded(t *testing.T) {
	t.Parallel()
	dir, f := folder(t), newFaults()
	l := startFaulty(t, dir, Options{QueueBytes: 1 << 20}, f)
	must(t, l, "a")
	f.full(0)
	refused(t, l, "x")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const flood = 200_000
	e := &Entry{Object: object("x"), Class: BestEffort}
	for range flood {
		if err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 { // other tests run beside
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	l.mu.Lock()
	reasons, queued := len(l.losses.reasons), l.pending.cost
	l.mu.Unlock()
	if reasons > maxReasons || queued > 1<<20 {
		t.Errorf("%d reasons and %d bytes queued", reasons, queued)
	}
	f.leave(-1)
	recovers(t, l)
	stop(t, l)
	if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || r.Lost != flood+1 {
		t.Errorf("%+v %v", r, err)
	}
}

// Bounded records can be dropped instead, and are counted.
func TestBoundedIsDroppedWithoutSpace(t *testing.T) {
	t.Parallel()
	dir, f := folder(t), newFaults()
	l := startFaulty(t, dir, Options{DropBounded: true}, f)
	must(t, l, "a")
	f.full(0)
	refused(t, l, "x")
	for range 9 {
		if err := l.Append(t.Context(), &Entry{Object: object("x"), Class: Bounded}); err != nil {
			t.Error(err)
		}
	}
	f.leave(-1)
	recovers(t, l)
	stop(t, l)
	if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || r.Lost != 10 {
		t.Errorf("%+v %v", r, err)
	}
	holds(t, dir, "a")
}

// What a producer was told is taken survives an outage.
func TestTakenBeforeTheOutageIsWrittenAfterIt(t *testing.T) {
	t.Parallel()
	dir, f := folder(t), newFaults()
	l := startFaulty(t, dir, Options{Linger: 1 << 40}, f) // until it is urgent
	must(t, l, "a")
	var ids []string
	for i := range 50 {
		ids = append(ids, fmt.Sprintf("b%d", i))
		if err := l.Append(t.Context(), &Entry{Object: object(ids[i]), Class: Bounded}); err != nil {
			t.Fatal(err)
		}
	}
	f.full(0)
	if err := refused(t, l, "x"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the reason is %v", err)
	}
	f.leave(-1)
	recovers(t, l)
	stop(t, l)
	holds(t, dir, append(ids, "a")...)
	if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 || r.Lost != 1 {
		t.Errorf("%+v %v", r, err)
	}
}
