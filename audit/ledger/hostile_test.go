package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What stands in the folder in the place of a file neither keeps a reader waiting nor
// is written through.
func TestWhatIsNoFileInTheFolder(t *testing.T) {
	t.Parallel()
	elsewhere := func(t *testing.T) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "elsewhere")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
				t.Errorf("a file elsewhere was written to: %q %v", b, err)
			}
		})
		return path
	}
	link := func(t *testing.T, path string) error {
		t.Helper()
		return os.Symlink(elsewhere(t), path)
	}
	folder1 := func(_ *testing.T, path string) error { return os.Mkdir(path, 0o700) }
	device := func(_ *testing.T, path string) error { return os.Symlink("/dev/zero", path) }
	none := segmentName(999)
	tests := map[string]struct {
		name  string
		put   func(t *testing.T, path string) error
		opens bool // Open does without it
		reads bool // Verify does without it
	}{
		"a pipe as the last segment":        {none, fifo, false, false},
		"a folder as the last segment":      {none, folder1, false, false},
		"a link as the last segment":        {none, link, false, true},
		"an endless device as the last one": {none, device, false, false},
		"a pipe as the segment":             {segmentName(0), fifo, false, false},
		"a link as the segment":             {segmentName(0), link, false, true},
		"an endless device as the segment":  {segmentName(0), device, false, false},
		"a pipe as the key":                 {privateKeyFile, fifo, false, true},
		"a link as the key":                 {privateKeyFile, link, false, true},
		"a pipe as the public key":          {PublicKeyFile, fifo, false, false},
		"a link as the lock":                {lockFile, link, false, true},
		"a folder as the lock":              {lockFile, folder1, false, true},
		"a link as the reserve":             {reserveFile, link, true, true},
		"a pipe as the reserve":             {reserveFile, fifo, true, true},
		"a name with too many digits":       {"audit-" + strings.Repeat("9", 40) + ".jsonl", fifo, true, true},
		"a number beyond 63 bits":           {"audit-18446744073709551615.jsonl", fifo, true, true},
		"a name that is almost one":         {"audit-+0000000000000000001.jsonl", fifo, true, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			l := start(t, dir, Options{})
			put(t, l, 0, 5)
			stop(t, l)
			path := filepath.Join(dir, test.name)
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := test.put(t, path); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				r, err := Verify(t.Context(), dir, VerifyOptions{Keys: verifiers(l)})
				if test.name == PublicKeyFile {
					r, err = Verify(t.Context(), dir, VerifyOptions{})
				}
				if good := err == nil; good != test.reads {
					t.Errorf("Verify: %+v %v", r, err)
				}
				again, err := Open(dir, Options{})
				if opened := err == nil; opened != test.opens {
					t.Errorf("Open: %v", err)
				}
				if again == nil {
					return
				}
				must(t, again, "a")
				stop(t, again)
				sound(t, dir, 6)
			}()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Error("it hangs")
			}
		})
	}
}

func TestFolderIsALinkOrAFile(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	l := start(t, dir, Options{})
	put(t, l, 0, 5)
	stop(t, l)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, file, ""} {
		if l, err := Open(path, Options{}); err == nil {
			t.Errorf("%q was opened", path)
			_ = l.Close()
		}
	}
}

// A second name for the segment in use lets another program write to it: it is
// noticed, and what that wrote does not count.
func TestHardLinkToTheSegment(t *testing.T) {
	t.Parallel()
	dir, clock := folder(t), newClock()
	l, err := open(dir, Options{}, realMedia, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	must(t, l, "a")
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Link(filepath.Join(dir, segmentName(0)), other); err != nil {
		t.Skipf("reason: no hard links here: %v", err)
	}
	f, err := os.OpenFile(other, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("{\"seq\":1,\"prev\":\"0000000000000000\",\"id\":\"forged\"}\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	clock.add(2 * checkpointEvery)
	must(t, l, "b")
	stop(t, l)
	if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 {
		t.Errorf("%+v %v", r, err)
	}
	holds(t, dir, "a", "b")
}

// Others are shut out of a folder that is open to them.
func TestFolderLetsNobodyElseIn(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	stop(t, start(t, dir, Options{}))
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
}

// Verify and Open read a log of 200,000 records in memory that does not grow with it.
func TestVerifyOfALongLogIsBounded(t *testing.T) { //nolint:paralleltest // it measures the heap
	dir := folder(t)
	const n = 200_000
	l := start(t, dir, Options{QueueBytes: 256 << 20, SegmentBytes: 16 << 20})
	e := &Entry{Object: benchObject, Class: Bounded}
	for range n {
		if err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	stop(t, l)
	var peak atomic.Uint64
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	before := heap()
	r, err := Verify(t.Context(), dir, VerifyOptions{Progress: func(int64, int64) { peak.Store(max(peak.Load(), heap())) }})
	if err != nil || len(r.Faults) > 0 || r.Records != n || r.Segments < 2 {
		t.Fatalf("%+v %v", r, err)
	}
	grown := int64(peak.Load()) - int64(before)
	if grown > 32<<20 {
		t.Errorf("the heap grows by %d bytes", grown)
	}
	t.Logf("%d MiB of log, %d KiB of heap", r.Bytes>>20, grown>>10)
	cut := fmt.Sprintf(`{"seq":%d,`, n-3) // and it names the record, deep in the log
	names, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(b), cut, strings.Replace(cut, ":", ": ", 1), 1)
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r, err = Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) != 1 || r.Faults[0].Seq != n-3 {
		t.Errorf("%+v %v", r, err)
	}
}
