//go:build unix

package ratelimit

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// safeMode refuses a file that others may write.
func safeMode(path string) func(fs.FileInfo) error {
	return func(info fs.FileInfo) error {
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
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: give the user the right to create files in the directory", err)
	}
	if os.Geteuid() == 0 {
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
