package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// faults is a media whose disk fails as a test says.
type faults struct {
	mu    sync.Mutex
	fail  func(op, name string) error // nil: nothing fails
	space int64                       // bytes left; negative: enough
	slow  time.Duration               // of each sync
	ops   map[string]int
}

func newFaults() *faults { return &faults{space: -1, ops: make(map[string]int)} }

// set makes operations fail from now on. Those are create, reopen, syncdir, remove,
// write, torn (half of a write arrives), sync and truncate.
func (f *faults) set(fail func(op, name string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// on returns a failure of some operations with an error.
func on(err error, ops ...string) func(string, string) error {
	return func(op, _ string) error {
		if slices.Contains(ops, op) {
			return err
		}
		return nil
	}
}

func (f *faults) leave(space int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.space = space
}

// full leaves so much space, and no reserve.
func (f *faults) full(space int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.space, f.ops["reserve"] = space, 1
}

func (f *faults) do(op, path string) error {
	f.mu.Lock()
	f.ops[op]++
	fail := f.fail
	f.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(op, filepath.Base(path))
}

func (f *faults) media() media {
	open := func(op string, onDisk func(string) (disk, error)) func(string) (disk, error) {
		return func(path string) (disk, error) {
			if err := f.do(op, path); err != nil {
				return nil, err
			}
			d, err := onDisk(path)
			if err != nil {
				return nil, err
			}
			return &faultyDisk{d, f, path}, nil
		}
	}
	return media{
		create: open("create", realMedia.create),
		reopen: open("reopen", realMedia.reopen),
		syncDir: func(dir string) error {
			return errors.Join(f.do("syncdir", dir), realMedia.syncDir(dir))
		},
		remove: func(path string) error {
			if err := f.do("remove", path); err != nil {
				return err
			}
			return realMedia.remove(path)
		},
	}
}

type faultyDisk struct {
	disk

	f    *faults
	path string
}

func (d *faultyDisk) WriteAt(b []byte, at int64) (int, error) {
	if err := d.f.do("write", d.path); err != nil {
		return 0, err
	}
	if err := d.f.do("torn", d.path); err != nil {
		n, _ := d.disk.WriteAt(b[:len(b)/2], at)
		return n, err
	}
	info, err := d.Stat()
	if err != nil {
		return 0, err
	}
	grows := max(at+int64(len(b))-info.Size(), 0)
	d.f.mu.Lock()
	fits := grows
	if d.f.space >= 0 {
		if grows > d.f.space { // the ledger may have given up its reserve
			if _, err := os.Lstat(filepath.Join(filepath.Dir(d.path), reserveFile)); err != nil && d.f.ops["reserve"] == 0 {
				d.f.ops["reserve"]++
				d.f.space += reserveBytes
			}
		}
		fits = min(grows, d.f.space)
		d.f.space -= fits
	}
	d.f.mu.Unlock()
	if fits < grows {
		n, _ := d.disk.WriteAt(b[:int64(len(b))-(grows-fits)], at)
		return n, syscall.ENOSPC
	}
	return d.disk.WriteAt(b, at)
}

func (d *faultyDisk) Sync() error {
	if err := d.f.do("sync", d.path); err != nil {
		return err
	}
	<-time.After(d.f.slow)
	return d.disk.Sync()
}

func (d *faultyDisk) Truncate(size int64) error {
	if err := d.f.do("truncate", d.path); err != nil {
		return err
	}
	info, err := d.Stat()
	if err != nil {
		return err
	}
	d.f.mu.Lock()
	if d.f.space >= 0 {
		d.f.space += max(info.Size()-size, 0)
	}
	d.f.mu.Unlock()
	return d.disk.Truncate(size)
}

// startFaulty opens a ledger on a failing disk.
func startFaulty(t *testing.T, dir string, o Options, f *faults) *Ledger {
	t.Helper()
	l, err := open(dir, o, f.media(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// must appends a record that has to be safe.
func must(t *testing.T, l *Ledger, id string) {
	t.Helper()
	if err := l.Append(t.Context(), &Entry{Object: object(id), Class: Require}); err != nil {
		t.Fatalf("%s: %v", id, err)
	}
}

// refused appends a record that must not be taken, and says why it was not.
func refused(t *testing.T, l *Ledger, id string) error {
	t.Helper()
	err := l.Append(t.Context(), &Entry{Object: object(id), Class: Require})
	if err == nil {
		t.Fatalf("%s: taken, although the disk failed", id)
	}
	return err
}

// recovers waits until the ledger writes again.
func recovers(t *testing.T, l *Ledger) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); l.Fault() != nil; {
		<-time.After(time.Millisecond)
		poke(l.urgent) // it would try again by itself, later
		if time.Now().After(deadline) {
			t.Fatalf("it does not recover: %v", l.Fault())
		}
	}
}

// holds fails unless the log holds exactly these ids, each once, among records of
// its own.
func holds(t *testing.T, dir string, ids ...string) string {
	t.Helper()
	all := readAll(t, dir)
	for _, id := range ids {
		if n := strings.Count(all, `"id":"`+id+`"`); n != 1 {
			t.Errorf("record %s stands %d times in the log", id, n)
		}
	}
	if n := strings.Count(all, `"id":"`); n != len(ids) {
		t.Errorf("%d records of producers in the log, want %d", n, len(ids))
	}
	return all
}

// readAll returns the records of a log, one a line.
func readAll(t *testing.T, dir string) string {
	t.Helper()
	s, err := Scan(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b strings.Builder
	for {
		l, err := s.Next()
		if err != nil {
			return b.String()
		}
		if l.Kind == Garbage {
			t.Errorf("garbage in %s at %d: %.80q", l.Segment, l.Offset, l.Text)
		}
		if l.Kind == Record {
			b.Write(l.Text)
			b.WriteByte('\n')
		}
	}
}
