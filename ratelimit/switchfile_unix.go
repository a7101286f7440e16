//go:build unix

package ratelimit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// trusted refuses a file that others may write, or that belongs to another user than
// this process, root and the owner of the directory.
func trusted(path string) func(fs.FileInfo) error {
	return func(info fs.FileInfo) error {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && !info.IsDir() && owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
			dir, err := os.Stat(filepath.Dir(path))
			if err != nil {
				return err
			}
			if of, ok := dir.Sys().(*syscall.Stat_t); !ok || of.Uid != owner.Uid {
				return fmt.Errorf("%s belongs to user %d, and the directory does not: chown it to the server's user", path, owner.Uid)
			}
		}
		if mode := info.Mode().Perm(); mode&0o022 != 0 {
			return fmt.Errorf("%s has mode %04o and can be written by others: chmod go-w it", path, mode)
		}
		return nil
	}
}

// like gives a new file the mode and the owner of the one it replaces, so that a
// server can read what root has written; the owner of the directory if there is none.
func like(f *os.File, path string) error {
	old, err := os.Stat(path)
	if err == nil {
		if err := f.Chmod(old.Mode().Perm() &^ 0o022); err != nil {
			return err
		}
	} else if old, err = os.Stat(filepath.Dir(path)); err != nil {
		return err
	}
	if owner, ok := old.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		return f.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}

// lock makes processes that change the file take turns. It ends with the process.
func (s *Switch) lock() (unlock func(), err error) {
	path := filepath.Join(filepath.Dir(s.path), lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	made := err == nil
	if errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: give the user the right to create files in the directory", err)
	}
	if made && os.Geteuid() == 0 { // what was there may be a link to anything
		if err := like(f, s.path); err != nil {
			_ = f.Close() // nothing was written
			return nil, err
		}
	}
	for range lockTries {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return func() { _ = f.Close() }, nil // which unlocks it
		}
		<-time.After(lockPause)
	}
	_ = f.Close() // nothing was written
	return nil, fmt.Errorf("locking %s: %w: another process holds it", path, err)
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	_ = d.Close() // nothing was written
	return err
}
