package ratelimit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A server is a Limiter with a state directory, and the clock of its switch.
func server(t *testing.T, dir string) (*Limiter, mcpsec.Handler, *clock) {
	t.Helper()
	l := New(StateDir(dir), WithoutPrincipalRate())
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	c := &clock{t: time.Now().Add(-time.Second)} // the files are new for the whole test
	l.Switch().now = c.now
	h := l.Wrap(done)
	return l, h, c
}

func frozenFor(t *testing.T, h mcpsec.Handler, call *mcpsec.Call) bool {
	t.Helper()
	_, err := h(t.Context(), call)
	if d := mcpsec.AsDenial(err); err != nil && (d == nil || d.Code != "ratelimit.frozen" || d.Reason != "") {
		t.Fatalf("got %v", err)
	}
	return err != nil
}

func TestFreezeStopsWhatItSaysAndNothingElse(t *testing.T) {
	t.Parallel()
	alice := mcpsec.Principal{Rung: mcpsec.Token, Issuer: "idp", Subject: "alice"}
	by := func(p mcpsec.Principal, tool string) *mcpsec.Call {
		c := toolCall("", tool)
		c.Principal = p
		return c
	}
	list := &mcpsec.Call{Method: "tools/list", Principal: alice}
	for name, test := range map[string]struct {
		target     Target
		stops, not []*mcpsec.Call
	}{
		"principal by key": {
			PrincipalNamed(alice.Key()),
			[]*mcpsec.Call{by(alice, "x"), list},
			[]*mcpsec.Call{by(from("alice"), "x"), by(mcpsec.Principal{}, "x")},
		},
		"principal by subject": {
			PrincipalNamed("alice"),
			[]*mcpsec.Call{by(alice, "x"), by(from("alice"), "x")},
			[]*mcpsec.Call{by(from("bob"), "x"), by(from("Alice"), "x")},
		},
		"anonymous": {PrincipalNamed("anonymous"), []*mcpsec.Call{by(mcpsec.Principal{}, "x")}, []*mcpsec.Call{by(alice, "x")}},
		"tool": {
			ToolNamed("x"),
			[]*mcpsec.Call{by(alice, "x"), {Method: "sampling/createMessage", Outgoing: true, Tool: &mcpsec.Tool{Name: "x"}}},
			[]*mcpsec.Call{by(alice, "y"), list},
		},
		"everything": {
			Everything(),
			[]*mcpsec.Call{by(alice, "x"), list, {Method: "notifications/progress"}, {Method: "elicitation/create", Outgoing: true}},
			[]*mcpsec.Call{{Method: "ping"}, {Method: "initialize"}, {Method: "notifications/initialized"}, {Method: "notifications/cancelled"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New(WithoutPrincipalRate())
			h := l.Wrap(done)
			if err := l.Switch().Freeze(test.target, "why"); err != nil {
				t.Fatal(err)
			}
			for _, c := range test.stops {
				if !frozenFor(t, h, c) {
					t.Errorf("%s %s of %s passed", c.Method, c.Name, c.Principal)
				}
			}
			for _, c := range test.not {
				if frozenFor(t, h, c) {
					t.Errorf("%s %s of %s was stopped", c.Method, c.Name, c.Principal)
				}
			}
			if err := l.Switch().Thaw(test.target); err != nil {
				t.Fatal(err)
			}
			for _, c := range test.stops {
				if frozenFor(t, h, c) {
					t.Errorf("%s %s of %s is still stopped", c.Method, c.Name, c.Principal)
				}
			}
		})
	}
}

func TestRefusalTellsTheOperatorWhy(t *testing.T) {
	t.Parallel()
	l := New()
	if err := l.Switch().Freeze(ToolNamed("x"), "incident 42"); err != nil {
		t.Fatal(err)
	}
	_, err := l.Wrap(done)(t.Context(), toolCall("a", "x"))
	if d := mcpsec.AsDenial(err); d == nil || !strings.HasPrefix(d.Detail, `tool "x" since 20`) || !strings.HasSuffix(d.Detail, ": incident 42") {
		t.Errorf("got %+v", d)
	}
}

func TestFreezeOfAnotherProcessArrivesWithinASecond(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, h, c := server(t, dir)
	mustPass(t, h, toolCall("a", "x"))
	other, err := OpenSwitch(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Freeze(Everything(), ""); err != nil {
		t.Fatal(err)
	}
	c.move(lookEvery)
	if !frozenFor(t, h, toolCall("a", "x")) {
		t.Error("the server runs on")
	}
	if err := other.Thaw(Everything()); err != nil {
		t.Fatal(err)
	}
	c.move(lookEvery)
	if frozenFor(t, h, toolCall("a", "x")) {
		t.Error("the server stays frozen")
	}
}

// Two changes within the grain of the file system's clock, of the same size.
func TestChangeThatLooksLikeNoneIsSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, h, c := server(t, dir)
	path := filepath.Join(dir, freezeFile)
	state := func(tool string) {
		t.Helper()
		text := fmt.Sprintf(`{"schema":1,"frozen":[{"what":"tool","name":%q,"since":"2026-07-28T12:00:00Z"}]}`, tool)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil { // in place: the same file
			t.Fatal(err)
		}
	}
	state("x")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	c.move(lookEvery)
	if !frozenFor(t, h, toolCall("a", "x")) {
		t.Fatal("x runs")
	}
	state("y")
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	c.move(lookEvery)
	if frozenFor(t, h, toolCall("a", "x")) || !frozenFor(t, h, toolCall("a", "y")) {
		t.Error("the change was not seen")
	}
}

func TestFreezeSurvivesRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, _, _ := server(t, dir)
	if err := l.Switch().Freeze(PrincipalNamed("a"), "why"); err != nil {
		t.Fatal(err)
	}
	if err := l.Switch().Freeze(PrincipalNamed("a"), "why again"); err != nil {
		t.Fatal(err)
	}
	again, h, _ := server(t, dir)
	if !frozenFor(t, h, toolCall("a", "x")) || frozenFor(t, h, toolCall("b", "x")) {
		t.Error("a restart forgets")
	}
	list, err := again.Switch().Frozen()
	if err != nil || len(list) != 1 || list[0].Target != PrincipalNamed("a") || list[0].Reason != "why again" || time.Since(list[0].Since) > time.Hour {
		t.Errorf("got %+v, %v", list, err)
	}
}

func TestUnreadableStateFreezesEverything(t *testing.T) {
	t.Parallel()
	good := `{"schema":1,"frozen":[]}`
	for name, spoil := range map[string]func(path string) error{
		"gone":             os.Remove,
		"empty":            func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"cut off":          func(p string) error { return os.WriteFile(p, []byte(good[:10]), 0o600) },
		"duplicate member": func(p string) error { return os.WriteFile(p, []byte(`{"schema":1,"frozen":[],"frozen":[]}`), 0o600) },
		"other case":       func(p string) error { return os.WriteFile(p, []byte(`{"schema":1,"Frozen":[]}`), 0o600) },
		"unknown member":   func(p string) error { return os.WriteFile(p, []byte(`{"schema":1,"frozen":[],"x":1}`), 0o600) },
		"other schema":     func(p string) error { return os.WriteFile(p, []byte(`{"schema":2,"frozen":[]}`), 0o600) },
		"no list":          func(p string) error { return os.WriteFile(p, []byte(`{"schema":1}`), 0o600) },
		"null list":        func(p string) error { return os.WriteFile(p, []byte(`{"schema":1,"frozen":null}`), 0o600) },
		"unknown target": func(p string) error {
			return os.WriteFile(p, []byte(`{"schema":1,"frozen":[{"what":"tools","name":"x","since":"2026-07-28T12:00:00Z"}]}`), 0o600)
		},
		"trailing data":    func(p string) error { return os.WriteFile(p, []byte(good+good), 0o600) },
		"too large":        func(p string) error { return os.Truncate(p, maxState+1) },
		"a directory":      func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) },
		"others may write": func(p string) error { return os.Chmod(p, 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l, h, c := server(t, dir)
			if err := l.Switch().Freeze(ToolNamed("x"), ""); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, freezeFile)
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			c.move(lookEvery)
			if !frozenFor(t, h, toolCall("a", "other")) {
				t.Fatal("calls pass")
			}
			if _, err := l.Switch().Frozen(); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "repair") {
				t.Errorf("Frozen says %v", err)
			}
			if name != "gone" { // a server that starts anew makes a new one
				if err := New(StateDir(dir)).Check(); err == nil || !strings.Contains(err.Error(), path) {
					t.Errorf("a restart says %v", err)
				}
			}
			if err := l.Switch().Thaw(ToolNamed("x")); err == nil {
				t.Error("thawed into a file that cannot be read")
			}
			if err := l.Switch().Freeze(ToolNamed("y"), ""); err == nil {
				t.Error("wrote over a file that cannot be read")
			}
			if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte(good), 0o600)); err != nil {
				t.Fatal(err)
			}
			c.move(lookEvery)
			if frozenFor(t, h, toolCall("a", "other")) {
				t.Error("repaired, and still frozen")
			}
			if !frozenFor(t, h, toolCall("a", "y")) {
				t.Error("what was frozen meanwhile in this process is not")
			}
		})
	}
}

func TestDirectoryThatCannotBeTrustedIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	file := filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		open: "chmod go-w", file: "is no directory", filepath.Join(dir, "none"): "make the directory first",
	} {
		if err := New(StateDir(path)).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := OpenSwitch(dir); err == nil || !strings.Contains(err.Error(), "state directory of a server") {
		t.Errorf("a directory without a server: %v", err)
	}
	link := filepath.Join(t.TempDir(), lockFile)
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := New(StateDir(filepath.Dir(link))).Check(); err == nil {
		t.Error("a link in the place of the lock was followed")
	}
}

// If the later of two freezes were written over the earlier, somebody would go on.
func TestFreezesAtTheSameTimeAreAllKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server(t, dir)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s, err := OpenSwitch(dir)
			if err != nil {
				t.Error(err)
				return
			}
			for j := range 5 {
				if err := s.Freeze(ToolNamed(fmt.Sprint(i, " ", j)), ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s, err := OpenSwitch(dir)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := s.Frozen(); err != nil || len(list) != 20 {
		t.Errorf("%d of 20 are frozen, %v", len(list), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUnusableTargetsAreRefused(t *testing.T) {
	t.Parallel()
	s := New().Switch()
	for _, target := range []Target{{}, PrincipalNamed(""), ToolNamed(""), ToolNamed(strings.Repeat("x", maxTargetName+1)), {everything, "x"}} {
		if err := s.Freeze(target, ""); err == nil {
			t.Errorf("%+v is frozen", target)
		}
	}
	if err := s.Thaw(Everything()); !errors.Is(err, ErrNotFrozen) {
		t.Errorf("got %v", err)
	}
	if (*Limiter)(nil).Switch() != nil || New(nil).Switch() != nil {
		t.Error("a Limiter that cannot be used has a switch")
	}
}

func TestManyCallsLookAtTheFileOnceASecond(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, h, c := server(t, dir)
	for range 1000 {
		mustPass(t, h, toolCall("a", "x"))
	}
	// Nobody looked since: a change is not seen before its time.
	if err := os.Remove(filepath.Join(dir, freezeFile)); err != nil {
		t.Fatal(err)
	}
	c.move(lookEvery - 1)
	mustPass(t, h, toolCall("a", "x"))
	c.move(1)
	if !frozenFor(t, h, toolCall("a", "x")) {
		t.Error("not seen in time")
	}
	c.move(-time.Hour) // a clock that goes back must not put the next look off for an hour
	if err := os.WriteFile(filepath.Join(dir, freezeFile), []byte(`{"schema":1,"frozen":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if frozenFor(t, h, toolCall("a", "x")) {
		t.Error("did not look again")
	}
}

func TestSignalFreezesEverything(t *testing.T) {
	dir := t.TempDir()
	l, h, _ := server(t, dir)
	stop := l.Switch().FreezeOn(freezeSignal)
	defer stop()
	mustPass(t, h, toolCall("a", "x"))
	if err := sendSelf(freezeSignal); err != nil {
		t.Skipf("reason: %v", err)
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		if frozenFor(t, h, toolCall("a", "x")) {
			list, err := l.Switch().Frozen()
			if err != nil || len(list) != 1 || list[0].Target != Everything() || !strings.HasPrefix(list[0].Reason, "signal: ") {
				t.Errorf("got %+v, %v", list, err)
			}
			return
		}
	}
	t.Error("calls pass half a minute after the signal")
}

func TestFrozenCallMakesNoProgressInLaterRounds(t *testing.T) {
	t.Parallel()
	if d := (freezer{}).Declare(); d.Stage == mcpsec.StageLimit {
		t.Error("StageLimit is skipped when a call comes back with answers")
	}
}

func TestServerSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, h, _ := server(t, dir)
	for range 3 {
		mustPass(t, h, toolCall("a", "x"))
	}
	all, err := ReadStats(dir)
	if err != nil || len(all) != 1 || all[0].PID != os.Getpid() || time.Since(all[0].Time) > time.Hour {
		t.Fatalf("got %+v, %v", all, err)
	}
	stale := filepath.Join(dir, "status-1.json")
	if err := os.WriteFile(stale, []byte(`{"time":"2026-07-28T12:00:00Z","pid":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if all, err := ReadStats(dir); err != nil || len(all) != 2 || all[1].PID != 1 {
		t.Errorf("got %+v, %v", all, err)
	}
	old := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(stale, old, old); err != nil {
		t.Fatal(err)
	}
	server(t, dir)
	if all, err := ReadStats(dir); err != nil || len(all) != 1 {
		t.Errorf("what a dead process left is still there: %+v, %v", all, err)
	}
	if err := os.WriteFile(stale, []byte(`{"PID":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadStats(dir); err == nil || !strings.Contains(err.Error(), stale) {
		t.Errorf("a file that is no status: %v", err)
	}
	g, err := mcpsec.New(l)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, fmt.Sprintf("status-%d.json", os.Getpid()))); !os.IsNotExist(err) {
		t.Errorf("a closed server still says something: %v", err)
	}
}

func TestStatsCountWhatThereIs(t *testing.T) {
	t.Parallel()
	l := New(Budget("$1/day"), Price(AnyTool, "$0.1"), Loops(Loop{}))
	h := l.Wrap(done)
	mustPass(t, h, toolCall("a", "x"))
	if s := l.Stats(); s.Buckets != 1 || s.Accounts != 1 || s.InFlight != 0 || len(s.Breakers) != 1 || s.Frozen != 0 {
		t.Errorf("got %+v", s)
	}
}

func FuzzStats(f *testing.F) {
	f.Add([]byte(`{"time":"2026-07-28T12:00:00Z","pid":7,"breakers":[{"name":"x","kind":"tool","state":"open","waitNs":5}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decodeStats(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Skip("reason: a time that JSON cannot hold: ", err)
		}
		if back, err := decodeStats(again); err != nil || len(back.Breakers) != len(s.Breakers) || back.PID != s.PID {
			t.Fatalf("%s became %+v, %v", again, back, err)
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"schema":1,"frozen":[]}`))
	f.Add([]byte(`{"schema":1,"frozen":[{"what":"everything","since":"2026-07-28T12:00:00Z","reason":"x"}]}`))
	f.Add([]byte(`{"schema":1,"frozen":[{"what":"tool","name":"x","since":"2026-07-28T12:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := decodeState(raw)
		if err != nil {
			return
		}
		s := &Switch{path: filepath.Join(t.TempDir(), freezeFile), now: time.Now}
		if err := s.write(list, false); err != nil {
			t.Skip("reason: a time that JSON cannot hold: ", err)
		}
		back, _, err := s.read()
		if err != nil || len(back) != len(list) {
			t.Fatalf("written and read again: %d of %d, %v", len(back), len(list), err)
		}
		for i := range list {
			if back[i].Target != list[i].Target || back[i].Reason != list[i].Reason || !back[i].Since.Equal(list[i].Since) {
				t.Fatalf("%+v became %+v", list[i], back[i])
			}
		}
	})
}
