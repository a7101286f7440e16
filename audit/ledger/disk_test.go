package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// once fails one operation the first time.
func once(err error, op string) func(string, string) error {
	var done atomic.Bool
	return func(o, _ string) error {
		if o == op && done.CompareAndSwap(false, true) {
			return err
		}
		return nil
	}
}

// A disk fails once: the caller does not notice, nothing is there twice, and the log
// goes on in a new segment.
func TestDiskFailsOnce(t *testing.T) {
	t.Parallel()
	both := func(fs ...func(string, string) error) func(string, string) error {
		return func(op, name string) error {
			for _, f := range fs {
				if err := f(op, name); err != nil {
					return err
				}
			}
			return nil
		}
	}
	tests := map[string]func(string, string) error{
		"EIO on write":                       once(syscall.EIO, "write"),
		"EIO in the middle of a write":       once(syscall.EIO, "torn"),
		"EIO on fsync":                       once(syscall.EIO, "sync"),
		"EIO on write, cannot be cut":        both(once(syscall.EIO, "torn"), once(syscall.EIO, "truncate")),
		"EIO on fsync, cannot be cut":        both(once(syscall.EIO, "sync"), once(syscall.EIO, "truncate")),
		"the file may not grow":              once(syscall.EFBIG, "torn"),
		"ENOSPC at fsync (delayed or quota)": once(syscall.ENOSPC, "sync"),
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, f := folder(t), newFaults()
			l := startFaulty(t, dir, Options{}, f)
			follower, err := l.Scan(0)
			if err != nil {
				t.Fatal(err)
			}
			defer follower.Close()
			must(t, l, "a")
			f.set(fail)
			must(t, l, "b")
			must(t, l, "c")
			stop(t, l)
			if r := sound(t, dir, 3); r.Segments != 2 || r.Signed != 3 {
				t.Errorf("%+v", r)
			}
			holds(t, dir, "a", "b", "c")
			seen := 0
			for {
				line, err := follower.Next()
				if err != nil {
					break
				}
				if line.Kind == Garbage {
					t.Errorf("the follower got garbage: %.80q", line.Text)
				}
				if line.Kind == Record {
					seen++
				}
			}
			if seen != 3 {
				t.Errorf("the follower got %d records of 3", seen)
			}
			l = start(t, dir, Options{})
			must(t, l, "d")
			stop(t, l)
			sound(t, dir, 4)
		})
	}
}

// A disk fails for a while: Require is refused and no false acknowledgement given,
// BestEffort counted, and afterwards the log goes on with the exact number.
func TestDiskFailsForAWhile(t *testing.T) {
	t.Parallel()
	tests := map[string]func(string, string) error{
		"EIO on every write":                                on(syscall.EIO, "write"),
		"EIO in the middle of each write":                   on(syscall.EIO, "torn"),
		"EIO on every fsync":                                on(syscall.EIO, "sync"),
		"EIO on fsync, nothing can be cut, no file removed": on(syscall.EIO, "sync", "truncate", "remove"),
		"EIO on write, nothing can be cut":                  on(syscall.EIO, "torn", "truncate"),
		"remounted read-only":                               on(syscall.EROFS, "write", "sync", "create", "truncate", "remove", "syncdir"),
		"permission lost":                                   on(syscall.EACCES, "write", "create", "remove"),
		"the next segment can be created but not kept":      on(syscall.EIO, "sync", "syncdir"),
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failsForAWhile(t, fail, Options{})
		})
		t.Run(name+", as the next segment is due", func(t *testing.T) {
			t.Parallel()
			failsForAWhile(t, fail, Options{SegmentBytes: 1})
		})
	}
}

func failsForAWhile(t *testing.T, fail func(op, name string) error, o Options) {
	t.Helper()
	dir, f := folder(t), newFaults()
	var told atomic.Int64
	o.OnFault = func(error) { told.Add(1) }
	l := startFaulty(t, dir, o, f)
	must(t, l, "a")
	must(t, l, "unsigned")
	f.set(fail)
	const fails = 5
	for range fails {
		refused(t, l, "x")
	}
	for range 3 {
		if err := l.Append(t.Context(), &Entry{Object: object("x"), Class: BestEffort}); err != nil {
			t.Error(err)
		}
	}
	if err := l.Append(t.Context(), &Entry{Object: object("x"), Class: Bounded}); err == nil {
		t.Error("a bounded record was taken although the disk fails")
	}
	f.set(nil)
	recovers(t, l)
	must(t, l, "b")
	stop(t, l)
	r, err := Verify(t.Context(), dir, VerifyOptions{})
	if err != nil || len(r.Faults) > 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if r.Lost != fails+3+1 {
		t.Errorf("the log says that %d records are lost, and it is %d", r.Lost, fails+3+1)
	}
	holds(t, dir, "a", "unsigned", "b")
	if told.Load() == 0 || told.Load() > 3 {
		t.Errorf("the operator was told %d times", told.Load())
	}
	l = start(t, dir, Options{})
	must(t, l, "c")
	stop(t, l)
	holds(t, dir, "a", "unsigned", "b", "c")
	if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 {
		t.Fatalf("%+v %v", r, err)
	}
}

// A second failure in the new segment, before anything counts in it, must not make
// what the first left behind count again.
func TestGarbageOfAFailedDiskStaysIgnored(t *testing.T) {
	t.Parallel()
	dir, f := folder(t), newFaults()
	l := startFaulty(t, dir, Options{}, f)
	must(t, l, "a")
	writes := 0 // to the second segment, the first of them its header
	f.set(func(op, name string) error {
		switch {
		case name == segmentName(0) && (op == "sync" || op == "truncate"):
			return syscall.EIO // "x" stays there
		case name == segmentName(1) && op == "create":
			writes = 0
		case name == segmentName(1) && op == "torn":
			if writes++; writes > 1 {
				return syscall.EIO // and there it does not fit
			}
		}
		return nil
	})
	refused(t, l, "x")
	refused(t, l, "x")
	refused(t, l, "x")
	f.set(nil)
	recovers(t, l)
	must(t, l, "b")
	stop(t, l)
	if !strings.Contains(files(t, dir)[segmentName(0)], `"id":"x"`) {
		t.Fatal("the first segment holds no garbage: this test tests nothing")
	}
	if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 || r.Lost != 3 {
		t.Fatalf("%+v %v", r, err)
	}
	holds(t, dir, "a", "b")
}

// A process that ends in an outage of the disk says what is lost, to its caller.
func TestCloseWhileTheDiskFails(t *testing.T) {
	t.Parallel()
	dir, f := folder(t), newFaults()
	l := startFaulty(t, dir, Options{}, f)
	must(t, l, "a")
	f.set(on(syscall.EIO, "write", "create"))
	if err := l.Append(t.Context(), &Entry{Object: object("x"), Class: Bounded}); err != nil {
		t.Fatal(err)
	}
	refused(t, l, "x")
	err := l.Close()
	if err == nil || !strings.Contains(err.Error(), "2 records are lost") {
		t.Errorf("closed with %v", err)
	}
	if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 || r.Records != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

// Other programs do things to the folder while it is in use. The log goes on and
// says so; what was removed is missed.
func TestAnotherProgramMeddles(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		meddle func(t *testing.T, dir, segment string)
		says   string // in a record
		faulty bool   // what was written before is gone
	}{
		"renamed": {func(t *testing.T, dir, segment string) {
			t.Helper()
			rename(t, segment, filepath.Join(dir, "old.jsonl"))
		}, "removed or renamed", true},
		"renamed to where the next one belongs": {func(t *testing.T, dir, segment string) {
			t.Helper()
			rename(t, segment, filepath.Join(dir, segmentName(3)))
		}, "moved aside", true},
		"removed": {func(t *testing.T, _, segment string) {
			t.Helper()
			t.Helper()
			if err := os.Remove(segment); err != nil {
				t.Error(err)
			}
		}, "removed or renamed", true},
		"truncated": {func(t *testing.T, _, segment string) {
			t.Helper()
			t.Helper()
			if err := os.Truncate(segment, 400); err != nil {
				t.Error(err)
			}
		}, "truncated", true},
		"appended to": {func(t *testing.T, _, segment string) {
			t.Helper()
			t.Helper()
			f, err := os.OpenFile(segment, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if _, err := f.WriteString("{\"seq\":3,\"prev\":\"0000000000000000\",\"event\":\"forged\"}\n"); err != nil {
				t.Error(err)
			}
		}, "written to by another program", false},
		"replaced by a copy": {func(t *testing.T, _, segment string) {
			t.Helper()
			t.Helper()
			b, err := os.ReadFile(segment)
			if err != nil {
				t.Error(err)
			}
			if err := os.Remove(segment); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(segment, b, 0o600); err != nil {
				t.Error(err)
			}
		}, "replaced", false},
		"replaced by a link": {func(t *testing.T, dir, segment string) {
			t.Helper()
			rename(t, segment, filepath.Join(dir, "elsewhere"))
			if err := os.Symlink(filepath.Join(dir, "elsewhere"), segment); err != nil {
				t.Error(err)
			}
		}, "replaced", false},
		"replaced by a pipe": {func(t *testing.T, dir, segment string) {
			t.Helper()
			rename(t, segment, filepath.Join(dir, "elsewhere"))
			if err := fifo(t, segment); err != nil {
				t.Error(err)
			}
		}, "replaced", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			clock := newClock()
			l, err := open(dir, Options{}, realMedia, clock.now)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			for _, id := range []string{"a", "b", "c"} {
				must(t, l, id)
			}
			test.meddle(t, dir, filepath.Join(dir, segmentName(0)))
			clock.add(2 * checkpointEvery) // when it looks again
			must(t, l, "d")
			must(t, l, "e")
			stop(t, l)
			if b, err := os.ReadFile(filepath.Join(dir, segmentName(3))); err != nil || !strings.Contains(string(b), test.says) {
				t.Errorf("no record says %q: %s %v", test.says, b, err)
			}
			r, err := Verify(t.Context(), dir, VerifyOptions{})
			if test.faulty != (err != nil || len(r.Faults) > 0) {
				t.Errorf("%+v %v", r, err)
			}
			l = start(t, dir, Options{}) // and the next process goes on
			must(t, l, "f")
			stop(t, l)
		})
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Error(err)
	}
}

// Without its folder the log refuses, and goes on when there is one again.
func TestFolderIsRemoved(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	clock := newClock()
	l, err := open(dir, Options{}, realMedia, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	must(t, l, "a")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	clock.add(2 * checkpointEvery)
	refused(t, l, "x")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	recovers(t, l)
	must(t, l, "b")
	stop(t, l)
	holds(t, dir, "b")
	r, err := Verify(t.Context(), dir, VerifyOptions{Keys: verifiers(l)})
	if err != nil || len(r.Faults) != 1 || !strings.Contains(r.Faults[0].Reason, "no record says that they were pruned") {
		t.Errorf("the missing beginning is not missed: %+v %v", r, err)
	}
}

// A process that was killed may have left what it had written and not synced: the
// next one makes it safe before it relies on it.
func TestWhatAKilledProcessLeftIsMadeSafe(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{})
	must(t, l, "a")
	stop(t, l)
	for _, op := range []string{"sync", "syncdir"} {
		f := newFaults()
		f.set(on(syscall.EIO, op))
		if l, err := open(dir, Options{}, f.media(), time.Now); !errors.Is(err, syscall.EIO) {
			t.Errorf("opened without a %s: %v", op, err)
			_ = l.Close()
		}
	}
	stop(t, startFaulty(t, dir, Options{}, newFaults()))
}
