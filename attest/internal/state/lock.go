package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	lockPause = 5 * time.Millisecond
	lockWait  = 10 * time.Second // others write for milliseconds
)

// errLocked is what tryLock returns while somebody else has the lock.
var errLocked = errors.New("another process holds it")

// A turn is a held lock.
type turn struct{ file *os.File }

// end gives the lock up.
func (t turn) end() error { return errors.Join(release(t.file), t.file.Close()) }

// taken reports whether anything was ever saved under this lock: the lock's file then has
// content, and without the other two they were lost.
func (t turn) taken() (bool, error) {
	info, err := t.file.Stat()
	return err == nil && info.Size() > 0, err
}

// take notes that something is saved.
func (t turn) take() error {
	if taken, err := t.taken(); taken || err != nil {
		return err
	}
	_, err := t.file.WriteAt([]byte("in use\n"), 0)
	return errors.Join(err, t.file.Sync())
}

// lock makes processes and goroutines take turns. The file stays: removing it would let
// two in. The system gives the lock up when the process ends.
func lock(ctx context.Context, path string) (_ turn, err error) {
	var none turn
	if info, err := os.Lstat(path); err == nil {
		if err := checkFile(path, info); err != nil {
			return none, err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|openFlags, mode)
	if err != nil {
		return none, fmt.Errorf("%w: give the server's user the right to write in the folder", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
		}
	}()
	if info, err := f.Stat(); err != nil {
		return none, err
	} else if err := checkFile(path, info); err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	tick := time.NewTicker(lockPause)
	defer tick.Stop()
	for {
		err := tryLock(f)
		if err == nil {
			return turn{f}, nil
		}
		if !errors.Is(err, errLocked) {
			return none, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return none, fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}
