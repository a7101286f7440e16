package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// A disk is one open segment: a file, or a fault in a test.
type disk interface {
	WriteAt(b []byte, at int64) (int, error)
	// Sync returns once what was written survives a loss of power.
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Close() error
}

// A media is what the ledger does to its folder, apart from reading it.
type media struct {
	create  func(path string) (disk, error) // a file that is not there yet
	reopen  func(path string) (disk, error) // one that is
	syncDir func(dir string) error
	remove  func(path string) error
}

var realMedia = media{
	create: func(path string) (disk, error) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		return segmentFile{f}, nil
	},
	reopen: func(path string) (disk, error) {
		before, err := os.Lstat(path)
		if err != nil {
			return nil, err
		}
		if !before.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file (mode %v): no link and no device can be a segment", path, before.Mode())
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		if now, err := f.Stat(); err != nil || !os.SameFile(before, now) {
			return nil, errors.Join(fmt.Errorf("%s was replaced while it was opened", path), err, f.Close())
		}
		return segmentFile{f}, nil
	},
	syncDir: regular.SyncDir,
	remove:  os.Remove,
}

type segmentFile struct{ *os.File }

func (f segmentFile) Sync() error { return dataSync(f.File) }
