package memfd

import (
	"errors"
	"io/fs"
	"os"
)

// names reports whether a name leads to what is held. That it leads nowhere is no error.
func names(name string, held fs.FileInfo) (bool, error) {
	named, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(held, named), err
}
