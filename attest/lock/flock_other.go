//go:build !unix

package lock

import "sync"

var folder sync.Mutex

// tryLock keeps the goroutines of this process apart. Without the locks of Unix, two
// processes that change the file in the same instant can lose one of the changes: of
// an approval, which is then asked for again.
func tryLock(string) (unlock func(), err error) {
	if !folder.TryLock() {
		return nil, errHeld
	}
	return folder.Unlock, nil
}
