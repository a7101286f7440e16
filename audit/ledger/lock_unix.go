//go:build unix

package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

const lockFile = "ledger.lock"

// lock keeps other processes, and other ledgers of this one, from writing to the
// folder. The system gives the lock up when the process ends, however it ends.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another ledger has this folder open: one process writes to a folder at a time")
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// unlock gives the folder free at once. Closing alone would leave the lock with a
// child process that is being started at this moment and has the file, too.
func unlock(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}
