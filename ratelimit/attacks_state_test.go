//go:build unix

package ratelimit

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// What becomes unsafe while the server runs is noticed like any other change.
func TestStateThatIsTamperedWithFreezesEverything(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(path string) error{
		"directory removed": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"truncated":         func(path string) error { return os.Truncate(path, 3) },
		"emptied":           func(path string) error { return os.Truncate(path, 0) },
		"huge":              func(path string) error { return os.Truncate(path, 1<<40) },
		"writable for all":  func(path string) error { return os.Chmod(path, 0o666) },
		"a dangling link":   func(path string) error { _ = os.Remove(path); return os.Symlink("nowhere", path) },
		"a pipe":            func(path string) error { _ = os.Remove(path); return syscall.Mkfifo(path, 0o600) },
		"a foreign owner":   func(path string) error { return os.Chown(path, 12345, 12345) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "a foreign owner" && os.Geteuid() != 0 {
				t.Skip("reason: only root can give files away")
			}
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			l, h, c := server(t, dir)
			c.move(time.Hour) // the file has long settled
			mustPass(t, h, toolCall("a", "x"))
			if err := do(l.Switch().path); err != nil {
				t.Fatal(err)
			}
			c.move(lookEvery + 1)
			if !frozenFor(t, h, toolCall("a", "x")) {
				t.Error("calls pass")
			}
			if n := l.Stats().Frozen; n != 1 {
				t.Errorf("everything is frozen, and Stats count %d", n)
			}
			if err := l.Switch().Thaw(Everything()); err == nil {
				t.Error("thawed")
			}
			c.move(lookEvery + 1)
			if !frozenFor(t, h, toolCall("a", "x")) {
				t.Error("calls pass after thaw")
			}
		})
	}
}

// Root runs mcpsec in a directory that belongs to the server's user.
func TestRootGivesNothingAwayThroughALink(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("reason: only root can give files away")
	}
	dir := t.TempDir()
	s := New(StateDir(dir)).Switch()
	secret := filepath.Join(t.TempDir(), "shadow")
	if err := os.WriteFile(secret, []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, freezeFile)} {
		if err := os.Chown(path, 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
	for name, link := range map[string]func(string, string) error{"hard": os.Link, "symbolic": os.Symlink} {
		lock := filepath.Join(dir, lockFile)
		_ = os.Remove(lock)
		if err := link(secret, lock); err != nil {
			t.Fatal(err)
		}
		_ = s.Freeze(ToolNamed("x"), "") // may fail; what counts is the file behind the link
		info, err := os.Stat(secret)
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 || info.Mode().Perm() != 0o600 || info.Size() != 6 {
			t.Errorf("%s link: root's file now belongs to user %d, mode %v", name, uid, info.Mode())
		}
	}
}

func TestStatusRemovesAndHidesNothingOfOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	report := filepath.Join(dir, "status-report.txt")
	if err := os.WriteFile(report, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(report, old, old); err != nil {
		t.Fatal(err)
	}
	l, h, c := server(t, dir)
	if _, err := os.Stat(report); err != nil {
		t.Errorf("removed a file that is no status: %v", err)
	}
	mustPass(t, h, toolCall("a", "x"))
	bad := filepath.Join(dir, "status-1.json")
	if err := os.WriteFile(bad, []byte(`{"newMember":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if all, err := ReadStats(dir); len(all) != 1 || err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("got %+v, %v", all, err)
	}
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	g, err := mcpsec.New(l)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range l.parts {
		if f, ok := p.(freezer); ok {
			f.reporter.next = time.Time{}
		}
	}
	c.move(lookEvery)
	mustPass(t, h, toolCall("a", "x")) // one that was under way
	if all, err := ReadStats(dir); len(all) > 0 || err != nil {
		t.Errorf("the status is back after Close: %+v, %v", all, err)
	}
	if (*Limiter)(nil).Stats().Breakers == nil {
		t.Error("nil Limiter: breakers are null")
	}
}
