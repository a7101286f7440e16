//go:build unix

package ratelimit

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestEverythingCanAlwaysBeFrozen(t *testing.T) {
	t.Parallel()
	list := make([]Freeze, maxFrozen) // as after as many calls of Freeze
	for i := range list {
		list[i].Target = ToolNamed(fmt.Sprint(i))
	}
	for name, s := range map[string]*Switch{"memory": newSwitch(), "file": New(StateDir(t.TempDir())).Switch()} {
		s.keep(list, nil)
		if s.path != "" {
			if err := s.write(list, true); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Freeze(ToolNamed("one more"), ""); err == nil || !strings.Contains(err.Error(), "freeze everything") {
			t.Errorf("%s: got %v", name, err)
		}
		if err := s.Freeze(Everything(), strings.Repeat("é", 2000)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		list, err := s.Frozen()
		if err != nil || len(list) != maxFrozen+1 || s.refuse(toolCall("a", "x")) == nil {
			t.Errorf("%s: %d frozen, %v", name, len(list), err)
		}
		if r := list[len(list)-1].Reason; len(r) != maxReason || strings.Trim(r, "é") != "" {
			t.Errorf("%s: the reason is cut to %d bytes", name, len(r))
		}
		if err := s.Thaw(Everything()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that has become too large to read freezes everything, and nobody can thaw it.
func TestStateNeverBecomesTooLargeToRead(t *testing.T) {
	t.Parallel()
	s := New(StateDir(t.TempDir())).Switch()
	full := make([]Freeze, 0, 400)
	for i := range 348 { // almost 8 MiB: what JSON escapes takes six bytes
		full = append(full, Freeze{ToolNamed(fmt.Sprintf("%04d", i) + strings.Repeat("<", 4000)), time.Now().UTC(), ""})
	}
	if err := s.write(full, true); err != nil {
		t.Fatal(err)
	}
	more := append(slices.Clone(full), full[:2]...)
	if err := s.write(more, true); err == nil || !strings.Contains(err.Error(), "freeze everything") {
		t.Errorf("got %v", err)
	}
	all := append(slices.Clone(full), Freeze{Everything(), time.Now().UTC(), strings.Repeat("<", maxReason)})
	if err := s.write(all, false); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(s.path); err != nil || info.Size() < maxState || info.Size() > maxRead {
		t.Errorf("%d bytes, want a little more than %d: %v", info.Size(), maxState, err)
	}
}

func TestNameThatIsNotUTF8IsRefused(t *testing.T) {
	t.Parallel()
	if err := newSwitch().Freeze(PrincipalNamed("a\xff"), ""); err == nil {
		t.Error("JSON would have frozen another principal")
	}
}

// Whoever holds the lock, or hangs in the file system, does not keep a server running.
func TestFreezeTakesEffectBeforeLockAndDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := New(StateDir(dir))
	h, s := l.Wrap(done), l.Switch()
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock() // as one has that reads a file system which does not answer
	ended := make(chan error, 1)
	go func() { ended <- s.Freeze(Everything(), "x") }()
	for deadline := time.Now().Add(30 * time.Second); s.frozen.Load().everything == nil && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if !frozenFor(t, h, toolCall("a", "x")) {
		t.Error("calls pass while Freeze waits")
	}
	_ = f.Close()
	s.mu.Unlock()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if list, err := s.Frozen(); err != nil || len(list) != 1 || len(s.held) != 0 {
		t.Errorf("%v, %v, held %v", list, err, s.held)
	}
}

// A freeze that could not be written holds here, and goes with the next that can be.
func TestHeldFreezeSurvivesTheRepair(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, freezeFile)
	s := New(StateDir(dir)).Switch()
	replaceBy := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replaceBy("x")
	for _, target := range []Target{ToolNamed("x"), Everything()} {
		if err := s.Freeze(target, "r"); err == nil {
			t.Fatal("written to a file that could not be read")
		}
	}
	replaceBy(`{"schema":1,"frozen":[]}`)
	if list, err := s.Frozen(); err != nil || len(list) != 2 {
		t.Error(list, err)
	}
	if err := s.Freeze(ToolNamed("y"), "r"); err != nil {
		t.Fatal(err)
	}
	other, err := OpenSwitch(dir)
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := other.Frozen(); len(list) != 3 {
		t.Error(list)
	}
	s.hold(Freeze{Target: ToolNamed("z")}) // as what the file has no room for
	if err := s.Thaw(ToolNamed("x")); err != nil {
		t.Fatal(err)
	}
	if list, _ := s.Frozen(); len(list) != 3 || contains(list, ToolNamed("x")) {
		t.Error("thawed, and still frozen: ", list)
	}
	if err := s.Freeze(Everything(), "again"); err != nil {
		t.Fatal(err)
	}
	if list, _ := other.Frozen(); len(list) != 2 || contains(list, ToolNamed("z")) {
		t.Error("a thaw wrote more than it was about: ", list)
	}
	if err := s.Thaw(ToolNamed("z")); err != nil || s.refuse(toolCall("a", "x")) == nil {
		t.Error(err)
	}
	if list, _ := s.Frozen(); len(list) != 2 {
		t.Error(list)
	}
}

func TestFreezesOfManyProcessesAreNotLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := New(StateDir(dir))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s, err := OpenSwitch(dir)
			if err != nil {
				t.Error(err)
				return
			}
			for j := range 4 {
				target := ToolNamed(fmt.Sprint(i, "-", j))
				if err := s.Freeze(target, ""); err != nil {
					t.Error(err)
				}
				if j%2 == 0 {
					if err := s.Thaw(target); err != nil {
						t.Error(err)
					}
				}
				_ = l.Switch().refuse(toolCall("a", "x"))
			}
		})
	}
	wg.Wait()
	if list, err := l.Switch().Frozen(); err != nil || len(list) != 8 {
		t.Error(len(list), err)
	}
}
