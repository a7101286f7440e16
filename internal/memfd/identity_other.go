//go:build !linux

package memfd

import (
	"io/fs"
	"os"
)

// An Identity is what a file system says about whether a file changed. Here the owner of
// a file can hide a change.
type Identity struct{ info fs.FileInfo }

// Same reports whether nothing seems to have changed.
func (i Identity) Same(j Identity) bool {
	return i.info != nil && j.info != nil && os.SameFile(i.info, j.info) && i.info.Size() == j.info.Size() && i.info.ModTime().Equal(j.info.ModTime())
}

// is reports whether both are of one file, changed or not.
func (i Identity) is(j Identity) bool { return os.SameFile(i.info, j.info) }

// Changed returns the time of the last change in Unix nanoseconds.
func (i Identity) Changed() int64 { return i.info.ModTime().UnixNano() }

// Identify returns the identity of an open file.
func Identify(f *os.File) (Identity, error) {
	info, err := f.Stat()
	return Identity{info}, err
}

// A Name is a path below a folder whose file is looked up again and again. It is safe for
// concurrent use.
type Name struct {
	root *Root
	rel  string
}

// Name prepares a path, of which [Root.Open] has approved, for [Name.Look].
func (r *Root) Name(rel string) (*Name, error) { return &Name{r, rel}, nil }

// folders is for systems on which files are looked up by name for every call.
func (n *Name) folders() ([]folder, error) { return nil, errUnheld }

// Look returns the identity of the file that has the name now.
func (n *Name) Look() (Identity, error) {
	info, err := n.root.dir.Lstat(n.rel)
	return Identity{info}, err
}
