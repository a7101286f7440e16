//go:build unix

package state

import (
	"errors"
	"os"
	"syscall"
)

func tryLock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return errLocked
	}
	return err
}

// release does what closing would, except for a child that is being started at this
// moment and has the file, too.
func release(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
