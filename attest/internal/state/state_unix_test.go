//go:build unix

package state

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFilesOfOthers: each attack is on files that were good before.
func TestFilesOfOthers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"state", "state.key", "state.lock"} {
		for attack, change := range map[string]func(path string) error{
			"readable for the group":  func(path string) error { return os.Chmod(path, 0o640) },
			"writable for everybody":  func(path string) error { return os.Chmod(path, 0o602) },
			"a link to a good file":   func(path string) error { return errors.Join(os.Rename(path, path+".2"), os.Symlink(path+".2", path)) },
			"a link to nowhere":       func(path string) error { return errors.Join(os.Remove(path), os.Symlink(path+".none", path)) },
			"a pipe without a writer": func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) },
		} {
			t.Run(name+" is "+attack, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				s := open(t, dir)
				s.accept(t, seen(1, "a"))
				if err := change(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				for _, minimum := range []uint64{0, 2} {
					if err := s.Accept(t.Context(), seen(2, "b"), minimum); err == nil {
						t.Errorf("accepted with minimum %d", minimum)
					}
				}
				if _, err := os.Stat(filepath.Join(dir, name+".none")); err == nil {
					t.Error("a file was made where a link led")
				}
			})
		}
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir).accept(t, seen(1, "a"))
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestFolderOfOthers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(filepath.Join(dir, "state"), ""); err == nil {
		t.Errorf("opened %v", s)
	}
}

// TestFileOfAnotherUser: whoever owns the key can read it.
func TestFileOfAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("reason: only root can give a file away: run as root")
	}
	dir := t.TempDir()
	s := open(t, dir)
	s.accept(t, seen(1, "a"))
	if err := os.Chown(s.key, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if err := s.Accept(t.Context(), seen(2, "b"), 0); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
}
