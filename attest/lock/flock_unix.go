//go:build unix

package lock

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock of a folder. The system gives it up with the process.
func tryLock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errHeld
		}
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		// Closing alone would leave the lock with a child that is being started now.
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		_ = f.Close() // nothing was written
	}, nil
}
