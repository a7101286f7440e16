package ledger

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashChild(dir)
		return
	}
	if what := os.Getenv(childTask); what != "" {
		os.Exit(child(what, os.Getenv(childDir)))
	}
	goleak.VerifyTestMain(m)
}

// object is a record as the audit package writes it.
func object(id string) []byte {
	return fmt.Appendf(nil, `{"time":"2026-11-22T10:00:00Z","event":"outcome","id":%q,"method":"tools/call"}`, id)
}

func start(t *testing.T, dir string, o Options) *Ledger {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func put(t *testing.T, l *Ledger, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		class := Bounded
		if i == to-1 {
			class = Require
		}
		if err := l.Append(t.Context(), &Entry{Object: object(fmt.Sprint(i)), Class: class}); err != nil {
			t.Fatal(err)
		}
	}
}

func stop(t *testing.T, l *Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// sound verifies a log and fails if anything is wrong with it.
func sound(t *testing.T, dir string, records uint64) *Report {
	t.Helper()
	r, err := Verify(context.Background(), dir, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Faults) > 0 {
		t.Fatalf("the log is not sound: %+v", r.Faults)
	}
	if r.Records-r.First != records {
		t.Fatalf("%d records, want %d", r.Records-r.First, records)
	}
	return r
}

func folder(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "audit")
}

// files returns the segments of a folder with their content.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	names, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	return all
}

// text returns all segments, one after the other.
func text(t *testing.T, dir string) string {
	t.Helper()
	names, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := files(t, dir)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(all[name])
	}
	return b.String()
}

// A clock is set by a test.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time      { return time.Unix(0, c.at.Load()) }
func (c *clock) add(d time.Duration) { c.at.Add(int64(d)) }

func verifiers(l *Ledger) []note.Verifier { return []note.Verifier{l.Key().Verifier()} }
