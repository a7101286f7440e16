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

// lock makes processes and goroutines take turns. The file stays: removing it would let
// two in. The system gives the lock up when the process ends.
func lock(ctx context.Context, path string) (unlock func() error, err error) {
	if info, err := os.Lstat(path); err == nil {
		if err := checkFile(path, info); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|openFlags, mode)
	if err != nil {
		return nil, fmt.Errorf("%w: give the server's user the right to write in the folder", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
		}
	}()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if err := checkFile(path, info); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	tick := time.NewTicker(lockPause)
	defer tick.Stop()
	for {
		err := tryLock(f)
		if err == nil {
			return func() error { return errors.Join(release(f), f.Close()) }, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}
