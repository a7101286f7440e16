//go:build !linux

package memfd

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// A Root is the folder that files are below. It is safe for concurrent use.
type Root struct {
	dir  *os.Root
	name string // absolute
}

// OpenRoot opens a folder. Links on the way to the folder itself are followed: it is the
// configuration of whoever runs the server.
func OpenRoot(name string) (*Root, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	dir, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &Root{dir, name}, nil
}

// Named reports whether the folder's name still leads to it.
func (r *Root) Named() (bool, error) {
	held, err := r.dir.Stat(".")
	if err != nil {
		return false, err
	}
	return names(r.name, held)
}

// Close releases the folder. What was opened below it stays open; names of it fail.
func (r *Root) Close() error { return r.dir.Close() }

// Open opens a regular file for reading. The path is relative, with slashes; neither it
// nor anything on its way may be a link, and ".." is refused.
func (r *Root) Open(rel string) (_ *os.File, err error) {
	defer func() {
		if err != nil {
			err = &fs.PathError{Op: "open", Path: rel, Err: err}
		}
	}()
	if !fs.ValidPath(rel) || rel == "." {
		return nil, errors.New("not a path below the folder")
	}
	for folder := path.Dir(rel); folder != "."; folder = path.Dir(folder) {
		if info, err := r.dir.Lstat(folder); err != nil || !info.IsDir() {
			return nil, errors.Join(errors.New("a folder on the way is a link or no folder"), err)
		}
	}
	before, err := r.dir.Lstat(rel)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := r.dir.Open(rel)
	if err != nil {
		return nil, err
	}
	if after, err := f.Stat(); err != nil || !os.SameFile(before, after) {
		_ = f.Close() // nothing was written
		return nil, errors.Join(ErrChanged, err)
	}
	return f, nil
}
