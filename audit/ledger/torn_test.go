package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A wreck is a folder whose last segment a crash has left as a test says.
type wreck struct {
	dir   string
	lines [][]byte // of the last segment, with their ends
	path  string
	other map[string]string // the segments before
}

func newWreck(t *testing.T, o Options) *wreck {
	t.Helper()
	w := &wreck{dir: folder(t)}
	l := start(t, w.dir, o)
	for _, id := range []string{"0", "1", "2", "3", "4"} {
		must(t, l, id)
	}
	stop(t, l)
	names, err := segments(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	w.path = filepath.Join(w.dir, names[len(names)-1])
	b, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	w.lines, w.other = bytes.SplitAfter(b, newline), files(t, w.dir)
	delete(w.other, filepath.Base(w.path))
	return w
}

// leave writes the last segment, and restores the others.
func (w *wreck) leave(t *testing.T, content []byte) {
	t.Helper()
	names, err := segments(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range w.other {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(w.path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// repaired opens the wreck, appends, and returns the number of producers' records.
func (w *wreck) repaired(t *testing.T, cut bool) int {
	t.Helper()
	l := start(t, w.dir, Options{})
	must(t, l, "next")
	stop(t, l)
	r, err := Verify(t.Context(), w.dir, VerifyOptions{})
	if err != nil || len(r.Faults) > 0 || r.Torn > 0 {
		t.Fatalf("%+v %v", r, err)
	}
	all := readAll(t, w.dir)
	if says := strings.Contains(all, `"event":"recovery"`); says != cut {
		t.Fatalf("something was cut off: %v; a record says so: %v", cut, says)
	}
	return strings.Count(all, `"id":"`) - 1
}

// A crash can leave any beginning of what was being written.
func TestEveryPrefixOfTheLastRecords(t *testing.T) {
	t.Parallel()
	w := newWreck(t, Options{})
	content := bytes.Join(w.lines, nil)
	lines := slices.IndexFunc(w.lines, func(l []byte) bool { return bytes.HasPrefix(l, []byte(`{"seq":3,`)) })
	last := len(bytes.Join(w.lines[:lines], nil))
	end := bytes.Index(content, []byte(`"id":"4"`)) + len(`"id":"4","method":"tools/call"}`) + 1
	for n := last; n <= end; n++ {
		w.leave(t, content[:n])
		whole := content[n-1] == '\n'
		want := bytes.Count(content[:bytes.LastIndexByte(content[:n], '\n')], []byte(`"id":"`)) // of complete lines
		if got := w.repaired(t, !whole); got != want {
			t.Fatalf("cut at byte %d: %d records, want %d", n, got, want)
		}
	}
}

// The same for the header of a segment that was just begun.
func TestCrashWhileASegmentIsBegun(t *testing.T) {
	t.Parallel()
	w := newWreck(t, Options{SegmentBytes: 1}) // a segment each
	header := w.lines[0]
	for n := range header {
		w.leave(t, header[:n])
		if got := w.repaired(t, true); got != 5 {
			t.Fatalf("header cut at byte %d: %d records, want 5", n, got)
		}
		removeTorn(t, w.dir)
	}
	for name, content := range map[string][]byte{
		"zeros":                    make([]byte, len(header)),
		"a block of it is zeros":   append(append(append([]byte{}, header[:40]...), make([]byte, 60)...), header[100:]...),
		"more than a line of them": make([]byte, 3*maxLine),
	} {
		w.leave(t, content)
		if got := w.repaired(t, true); got != 5 {
			t.Fatalf("%s: %d records, want 5", name, got)
		}
		removeTorn(t, w.dir)
	}
	w.leave(t, header) // complete, and nothing behind it
	if got := w.repaired(t, false); got != 5 {
		t.Fatalf("%d records, want 5", got)
	}
	w.leave(t, header)
	if err := os.Remove(w.path); err != nil { // its name was not yet safe
		t.Fatal(err)
	}
	if got := w.repaired(t, false); got != 5 {
		t.Fatalf("%d records, want 5", got)
	}
}

// removeTorn forgets what was moved aside, as if each crash were the first.
func removeTorn(t *testing.T, dir string) {
	t.Helper()
	aside, err := filepath.Glob(filepath.Join(dir, "torn-*"))
	if err != nil || len(aside) != 1 {
		t.Fatalf("what was there is not kept: %v %v", aside, err)
	}
	if err := os.Remove(aside[0]); err != nil {
		t.Fatal(err)
	}
}

// The very first header can be cut as well.
func TestCrashWhileTheLogIsBegun(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", `{"ledger":"mcpsec-au`, "\x00\x00\x00"} {
		dir := folder(t)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, segmentName(0)), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		l := start(t, dir, Options{})
		must(t, l, "a")
		stop(t, l)
		sound(t, dir, 2)
	}
}

// A loss of power can leave zeros where a batch was being written.
func TestZerosAfterALossOfPower(t *testing.T) {
	t.Parallel()
	w := newWreck(t, Options{})
	content := bytes.Join(w.lines, nil)
	before, _, _ := bytes.Cut(content, []byte(`{"seq":2,`))
	from := len(before)
	safe := content[:from]
	holed := func(at, n int) []byte { // in what follows
		b := bytes.Clone(content)
		clear(b[from+at : from+at+n])
		return b
	}
	for name, test := range map[string]struct {
		content []byte
		cut     bool
	}{
		"one zero":                            {append(bytes.Clone(safe), 0), true},
		"a block of zeros":                    {append(bytes.Clone(safe), make([]byte, 4096)...), true},
		"more zeros than a line has":          {append(bytes.Clone(safe), make([]byte, 5<<20)...), true},
		"the first line of a batch":           {holed(10, 30), true},
		"the end of a line, so that two join": {holed(60, 120), true},
		"all but the last checkpoint":         {holed(0, bytes.Index(content[from:], checkpointStart)-1), true},
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // one folder
			w.leave(t, test.content)
			if got := w.repaired(t, test.cut); got != 2 {
				t.Errorf("%d records, want 2", got)
			}
		})
	}
}

// What was signed and followed by more was safe: zeros in it are no loss of power,
// and Open must not cut off what comes behind them.
func TestZerosInWhatWasSafeAreNoCrash(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for i := range 3 { // each with a checkpoint at the end
		l := start(t, dir, Options{})
		put(t, l, i*10, i*10+10)
		stop(t, l)
	}
	path := filepath.Join(dir, segmentName(0))
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]int{
		"in a record": bytes.Index(content, []byte(`{"seq":5,`)) + 40,
		"in a header": 20,
		"in a link":   bytes.Index(content, []byte(`{"seq":15,`)) + 20,
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // one folder
			changed := bytes.Clone(content)
			changed[at] = 0
			if err := os.WriteFile(path, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, Options{})
			if _, ok := errors.AsType[*CorruptError](err); !ok {
				t.Errorf("opened: %v", err)
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, changed) {
				t.Errorf("the evidence was changed: %v", err)
			}
		})
	}
}

// A changed log is moved aside on demand, and the new one goes by its name.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"", "log"} {
		dir := folder(t)
		l := start(t, dir, Options{Origin: origin})
		put(t, l, 0, 10)
		stop(t, l)
		path := filepath.Join(dir, segmentName(0))
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Replace(content, []byte("tools/call"), []byte("tools/list"), 1)
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{Origin: origin}); err == nil {
			t.Fatal("a changed log was opened")
		}
		old := l.Origin()
		l = start(t, dir, Options{Origin: origin, Quarantine: true})
		if l.Origin() == old || !strings.HasPrefix(l.Origin(), old+"/") {
			t.Errorf("the new log is named %q, the old one %q", l.Origin(), old)
		}
		must(t, l, "a")
		stop(t, l)
		l = start(t, dir, Options{Origin: origin}) // and again, without
		must(t, l, "b")
		stop(t, l)
		if all := holds(t, dir, "a", "b"); !strings.Contains(all, "was moved aside") {
			t.Error("no record says so")
		}
		if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 {
			t.Errorf("%+v %v", r, err)
		}
		kept, err := filepath.Glob(filepath.Join(dir, "quarantine-*", segmentName(0)))
		if err != nil || len(kept) != 1 {
			t.Fatalf("%v %v", kept, err)
		}
		if b, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(b, changed) {
			t.Errorf("the evidence is not what it was: %v", err)
		}
	}
}

// Before a segment is pruned a record that says so is safe: a crash in between must
// not look like a theft.
func TestPruningIsSaidBeforeItIsDone(t *testing.T) {
	t.Parallel()
	dir, f := folder(t), newFaults()
	l := startFaulty(t, dir, Options{SegmentBytes: 1 << 10, MaxBytes: 4 << 10}, f)
	removals := 0
	f.set(func(op, name string) error {
		if op != "remove" {
			return nil
		}
		removals++
		if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 {
			t.Errorf("before %s goes: %+v %v", name, r, err)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil { // the process is killed right behind it
			t.Error(err)
		}
		if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 {
			t.Errorf("%s is gone: %+v %v", name, r, err)
		}
		return os.ErrNotExist
	})
	for i := range 100 {
		put(t, l, i, i+1)
	}
	stop(t, l)
	if removals < 3 {
		t.Errorf("%d segments were pruned", removals)
	}
	f.set(nil)
	l = startFaulty(t, dir, Options{SegmentBytes: 1 << 10, MaxBytes: 4 << 10}, f)
	f.set(on(syscall.EPERM, "remove"))
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		err = l.Append(t.Context(), &Entry{Object: object("x")})
	}
	if !errors.Is(err, syscall.EPERM) {
		t.Errorf("a log that cannot be pruned grows for ever: %v", err)
	}
	f.set(nil)
	recovers(t, l)
	stop(t, l)
	if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 || r.Bytes > 8<<10 {
		t.Errorf("%+v %v", r, err)
	}
}
