package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func digest(c string) string { return strings.Repeat(c, 64) }

// seen is a manifest of the server with the sequence, whose digest is one character.
func seen(sequence uint64, c string) Seen {
	return Seen{Server: "files", Sequence: sequence, Digest: digest(c)}
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(filepath.Join(dir, "state"), "")
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return start }
	return s
}

func (s *Store) accept(t *testing.T, m Seen) {
	t.Helper()
	if err := s.Accept(t.Context(), m, 0); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func put(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func logged(m Seen, log string) Seen {
	m.Log = log
	return m
}

func stamped(m Seen, t time.Time) Seen {
	m.Time = t
	return m
}

func TestWhatFollowsWhat(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		before, after Seen
		minimum       uint64
		want          error
	}{
		{"the same again", seen(2, "a"), seen(2, "a"), 0, nil},
		{"a newer one", seen(2, "a"), seen(3, "b"), 0, nil},
		{"a gap", seen(2, "a"), seen(1<<53, "b"), 0, nil},
		{"neg 32: older sequence replayed", seen(2, "a"), seen(1, "b"), 0, ErrRollback},
		{"neg 33: same sequence, other digest", seen(2, "a"), seen(2, "b"), 0, ErrRollback},
		{"neg 32: below the minimum", seen(2, "a"), seen(3, "b"), 4, ErrRollback},
		{"at the minimum", seen(2, "a"), seen(4, "b"), 4, nil},
		{"a minimum does not excuse an older one", seen(5, "a"), seen(4, "b"), 4, ErrRollback},
		{"another server", seen(5, "a"), Seen{Server: "mail", Sequence: 1, Digest: digest("b")}, 0, nil},
		{"newer, and later in the log", logged(seen(2, "a"), "log#7"), logged(seen(3, "b"), "log#8"), 0, nil},
		{"newer, and in another log", logged(seen(2, "a"), "log#7"), logged(seen(3, "b"), "other#1"), 0, nil},
		{"newer, and in no log", logged(seen(2, "a"), "log#7"), seen(3, "b"), 0, nil},
		{"the same, logged again", logged(seen(2, "a"), "log#7"), logged(seen(2, "a"), "log#6"), 0, nil},
		{"neg 32: newer by its own word, and older in the log", logged(seen(2, "a"), "log#7"), logged(seen(3, "b"), "log#6"), 0, ErrRollback},
		{"neg 24: two manifests in one entry of the log", logged(seen(2, "a"), "log#7"), logged(seen(3, "b"), "log#7"), 0, ErrRollback},
		{"a trusted timestamp from before", seen(2, "a"), stamped(seen(3, "b"), start.Add(-time.Hour)), 0, nil},
		{"stale clock: a trusted timestamp from the future", seen(2, "a"), stamped(seen(3, "b"), start.Add(time.Hour)), 0, ErrClock},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			open(t, dir).accept(t, test.before)
			old := content(t, filepath.Join(dir, "state"))
			err := open(t, dir).Accept(t.Context(), test.after, test.minimum)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if now := content(t, filepath.Join(dir, "state")); bytes.Equal(now, old) != (err != nil) {
				t.Errorf("refused (%v), and the state is %s", err, now)
			}
			if err == nil { // and what was accepted last is the mark for the next
				if err := open(t, dir).Accept(t.Context(), Seen{Server: test.after.Server, Sequence: test.after.Sequence, Digest: digest("f")}, 0); !errors.Is(err, ErrRollback) {
					t.Errorf("it was not remembered: %v", err)
				}
			}
		})
	}
}

// TestLogIsNotForgotten: an entry without a log in between does not open the way back.
func TestLogIsNotForgotten(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	s.accept(t, logged(seen(1, "a"), "log#7"))
	s.accept(t, seen(2, "b"))
	if err := s.Accept(t.Context(), logged(seen(3, "c"), "log#6"), 0); !errors.Is(err, ErrRollback) {
		t.Error(err)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	s.accept(t, seen(1, "a"))
	for _, test := range []struct {
		name string
		at   time.Duration
		want error
	}{
		{"a little back", -clockSlack, nil},
		{"freeze: set back to when an expired manifest was valid", -clockSlack - time.Second, ErrClock},
		{"ahead", 24 * time.Hour, nil},
		{"freeze: back to the first time", 0, ErrClock},
	} {
		s.now = func() time.Time { return start.Add(test.at) }
		if err := s.Accept(t.Context(), seen(1, "a"), 0); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

// files are the store's files, and what was in them a generation ago.
type files struct {
	*testing.T

	state, key       string
	oldState, oldKey []byte
}

func (f files) edit(old, with string) {
	f.Helper()
	raw := string(content(f.T, f.state))
	if !strings.Contains(raw, old) {
		f.Fatalf("%s is not in %s", old, raw)
	}
	put(f.T, f.state, []byte(strings.Replace(raw, old, with, 1)))
}

// TestLossOfState: after two manifests were accepted, something happens to the files.
func TestLossOfState(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		change  func(f files)
		minimum uint64
		want    error
	}{
		{"nothing", func(files) {}, 0, nil},
		{"neg 36: state deleted", func(f files) { _ = os.Remove(f.state) }, 0, ErrLost},
		{"neg 36: state deleted, and a minimum is pinned", func(f files) { _ = os.Remove(f.state) }, 3, nil},
		{"neg 36: key deleted", func(f files) { _ = os.Remove(f.key) }, 0, ErrLost},
		{"neg 36: key deleted, and a minimum is pinned", func(f files) { _ = os.Remove(f.key) }, 3, nil},
		{"neg 36: state and key deleted", func(f files) { _, _ = os.Remove(f.state), os.Remove(f.key) }, 0, ErrLost},
		{"neg 36: state and key deleted, and a minimum is pinned", func(f files) { _, _ = os.Remove(f.state), os.Remove(f.key) }, 3, nil},
		{"neg 36: state and lock deleted", func(f files) { _, _ = os.Remove(f.state), os.Remove(f.state+".lock") }, 0, ErrLost},
		{"neg 36: state deleted, and the key made that of a first use", func(f files) {
			_ = os.Remove(f.state)
			put(f.T, f.key, []byte(`{"version":1,"key":"`+digest("1")+`","generation":0}`))
		}, 0, ErrLost},
		{"lock deleted", func(f files) { _ = os.Remove(f.state + ".lock") }, 0, nil},
		{"neg 36: state truncated", func(f files) {
			put(f.T, f.state, content(f.T, f.state)[:50])
		}, 0, ErrLost},
		{"neg 36: state empty", func(f files) { put(f.T, f.state, nil) }, 0, ErrLost},
		{"neg 36: state empty, and a minimum is pinned", func(f files) { put(f.T, f.state, nil) }, 3, ErrLost},
		{"neg 36: key empty", func(f files) { put(f.T, f.key, nil) }, 0, ErrLost},
		{"neg 36: state restored from backup", func(f files) { put(f.T, f.state, f.oldState) }, 0, ErrLost},
		{"neg 36: state restored from backup, and a minimum is pinned", func(f files) { put(f.T, f.state, f.oldState) }, 3, ErrLost},
		{"neg 36: key restored from backup", func(f files) { put(f.T, f.key, f.oldKey) }, 0, nil}, // one generation is a crash
		{"neg 36: another key", func(f files) {
			put(f.T, f.key, []byte(`{"version":1,"key":"`+digest("1")+`","generation":2}`))
		}, 0, ErrLost},
		{"sequence edited", func(f files) { f.edit(`"sequence":2`, `"sequence":1`) }, 0, ErrLost},
		{"generation edited", func(f files) { f.edit(`"generation":2`, `"generation":3`) }, 0, ErrLost},
		{"server renamed", func(f files) { f.edit(`"files"`, `"filez"`) }, 0, ErrLost},
		{"clock edited", func(f files) { f.edit(`"clock":"2026`, `"clock":"2025`) }, 0, ErrLost},
		{"mac cut", func(f files) { f.edit(`"mac":"`, `"mac":"","x":"`) }, 0, ErrLost},
		{"mac removed", func(f files) { f.edit(`,"mac"`, `,"mac":"","mac"`) }, 0, ErrLost},
		{"a member in other case", func(f files) { f.edit(`"mac"`, `"MAC":"","mac"`) }, 0, ErrLost},
		{"bytes after the state", func(f files) { put(f.T, f.state, append(content(f.T, f.state), "{}"...)) }, 0, ErrLost},
		{"a state of 5 MB", func(f files) { put(f.T, f.state, make([]byte, maxFile+1)) }, 0, ErrLost},
		{"state is a folder", func(f files) {
			_ = os.Remove(f.state)
			_ = os.Mkdir(f.state, 0o700)
		}, 3, ErrLost},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			state, key := filepath.Join(dir, "state"), filepath.Join(dir, "state.key")
			s := open(t, dir)
			s.accept(t, seen(1, "a"))
			oldState, oldKey := content(t, state), content(t, key)
			s.accept(t, seen(2, "b"))
			test.change(files{t, state, key, oldState, oldKey})
			if err := s.Accept(t.Context(), seen(3, "c"), test.minimum); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			err := s.Accept(t.Context(), seen(1, "a"), 0) // in no case is the first one back
			if !errors.Is(err, ErrLost) && !errors.Is(err, ErrRollback) {
				t.Errorf("rolled back: %v", err)
			}
		})
	}
}

// Judging says what accepting would, and remembers nothing.
func TestJudge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	if known, err := s.Judge(t.Context(), seen(2, "b"), 0); known || err != nil {
		t.Errorf("the first: %t, %v", known, err)
	}
	s.accept(t, seen(1, "a"))
	if known, err := s.Judge(t.Context(), seen(2, "b"), 0); !known || err != nil {
		t.Errorf("the next: %t, %v", known, err)
	}
	s.accept(t, seen(1, "a"))
	if _, err := s.Judge(t.Context(), seen(1, "c"), 0); !errors.Is(err, ErrRollback) {
		t.Errorf("another of one sequence: %v", err)
	}
	other := seen(1, "a")
	other.Server = "other"
	if known, err := s.Judge(t.Context(), other, 0); known || err != nil {
		t.Errorf("another server: %t, %v", known, err)
	}
}

// TestNewBeginning: after a loss, what was lost is no way back, be it found or not.
func TestNewBeginning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	s := open(t, dir)
	var old [][]byte
	for n := range uint64(3) {
		s.accept(t, seen(n+1, "a"))
		old = append(old, content(t, state))
	}
	_ = os.Remove(state)
	if err := s.Accept(t.Context(), seen(5, "b"), 5); err != nil {
		t.Fatal(err)
	}
	good := content(t, state)
	for i, o := range old {
		put(t, state, o)
		if err := s.Accept(t.Context(), seen(4, "c"), 0); !errors.Is(err, ErrLost) {
			t.Errorf("generation %d was accepted: %v", i+1, err)
		}
	}
	put(t, state, good)
	s.accept(t, seen(6, "d"))
}

// TestCrashes: the process ends between two of its writes.
func TestCrashes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	state, key := filepath.Join(dir, "state"), filepath.Join(dir, "state.key")
	s := open(t, dir)
	s.accept(t, seen(1, "a"))
	_ = os.Remove(state) // as if the first write of the state had not happened
	files{T: t, state: key}.edit(`"generation":1`, `"generation":0`)
	put(t, state+".lock", nil)
	s.accept(t, seen(1, "a"))
	oldKey := content(t, key)
	s.accept(t, seen(2, "b"))
	put(t, key, oldKey) // as if the second write of the key had not happened
	if err := s.Accept(t.Context(), seen(1, "a"), 0); !errors.Is(err, ErrRollback) {
		t.Error(err)
	}
	s.accept(t, seen(3, "c"))
	if got := content(t, key); !strings.Contains(string(got), `"generation":3`) {
		t.Errorf("%s", got)
	}
}

func TestTurns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range uint64(5) {
				m := Seen{Server: fmt.Sprint("server ", i), Sequence: n + 1, Digest: digest("a")}
				if err := open(t, dir).Accept(t.Context(), m, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	k, err := readKey(filepath.Join(dir, "state.key"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := decode(content(t, filepath.Join(dir, "state")), k)
	if err != nil || len(m.file.Servers) != 8 || slices.ContainsFunc(m.file.Servers, func(r record) bool { return r.Sequence != 5 }) {
		t.Errorf("something was lost: %+v, %v", m, err)
	}
}

func TestWaitingForTheLockEnds(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	held, err := lock(t.Context(), s.path+".lock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Accept(ctx, seen(1, "a"), 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := held.end(); err != nil {
		t.Error(err)
	}
	s.accept(t, seen(1, "a"))
}

func TestSeenRefuses(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for name, m := range map[string]Seen{
		"no server":                 {Sequence: 1, Digest: digest("a")},
		"a long name":               {Server: strings.Repeat("a", maxName+1), Sequence: 1, Digest: digest("a")},
		"a name that is not UTF-8":  {Server: "\xff", Sequence: 1, Digest: digest("a")},
		"sequence 0":                seen(0, "a"),
		"sequence 2^53+1":           seen(1<<53+1, "a"),
		"upper-case digest":         seen(1, "A"),
		"short digest":              {Server: "files", Sequence: 1, Digest: "aa"},
		"a log without an index":    logged(seen(1, "a"), "log"),
		"a log without an origin":   logged(seen(1, "a"), "#1"),
		"a log with index -1":       logged(seen(1, "a"), "log#-1"),
		"a log with too much index": logged(seen(1, "a"), "log#9223372036854775808"),
		"a long log":                logged(seen(1, "a"), strings.Repeat("a", maxLog)+"#1"),
	} {
		if err := s.Accept(t.Context(), m, 0); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := os.Stat(s.path); err == nil {
		t.Error("a file was written")
	}
}

func TestTooManyServers(t *testing.T) {
	t.Parallel()
	m := &memory{file: stateFile{Version: version, Servers: []record{}}}
	for i := range maxServers {
		if err := m.judge(Seen{Server: fmt.Sprint(i), Sequence: 1, Digest: digest("a")}, start); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.judge(seen(1, "a"), start); err == nil || len(m.file.Servers) != maxServers {
		t.Error("there is no bound")
	}
}

// TestLargestStateIsRead: what may be written may be read, however it is escaped.
func TestLargestStateIsRead(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	k := keyFile{Version: version, Key: digest("1")}
	m, err := newMemory(k)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxServers {
		worst := func(n int) string { return fmt.Sprintf("%03d", i) + strings.Repeat("<", n-3) }
		m.file.Servers = append(m.file.Servers, record{worst(maxName), 1 << 53, digest("a"), worst(maxLog-20) + "#1"})
	}
	if err := s.save(m); err != nil {
		t.Fatal(err)
	}
	if _, err := s.load(true, false); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), nil)
	for name, paths := range map[string][2]string{
		"no path":              {"", ""},
		"one file for both":    {filepath.Join(dir, "state"), filepath.Join(dir, ".", "state")},
		"no folder":            {filepath.Join(dir, "none", "state"), ""},
		"a file as folder":     {filepath.Join(dir, "file", "state"), ""},
		"no folder of the key": {filepath.Join(dir, "state"), filepath.Join(dir, "none", "key")},
	} {
		if s, err := Open(paths[0], paths[1]); err == nil || s != nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

// FuzzDecode: nothing but what was written with the key is a state.
func FuzzDecode(f *testing.F) {
	k := keyFile{Version: version, Key: digest("1"), Generation: 1}
	m, err := newMemory(k)
	if err != nil {
		f.Fatal(err)
	}
	if err := m.judge(logged(seen(1, "a"), "log#1"), start); err != nil {
		f.Fatal(err)
	}
	if m.file.MAC, err = m.mac(); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"version":1,"generation":1,"clock":"` + m.file.Clock.Format(time.RFC3339) + `","servers":[{"name":"files","sequence":1,"digest":"` + digest("a") + `","log":"log#1"}],"mac":"` + m.file.MAC + `"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := decode(raw, k)
		if err != nil {
			return
		}
		if !got.file.Clock.Equal(m.file.Clock) || !slices.Equal(got.file.Servers, m.file.Servers) || got.file.Generation != 1 {
			t.Fatalf("forged: %+v", got.file)
		}
	})
}
