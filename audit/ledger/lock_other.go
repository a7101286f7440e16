//go:build !unix

package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

const lockFile = "ledger.lock"

// lock keeps others from writing to the folder: Windows lets nobody remove a file
// that is open.
func lock(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("another ledger has this folder open: one process writes to a folder at a time")
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

func unlock(f *os.File) error { return f.Close() }
