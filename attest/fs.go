package attest

import (
	"cmp"
	"context"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// FS returns the artifacts in memory of the tool that is being called, as a file system
// with the paths of the manifest, for packages such as html/template. Outside of a call, and
// for a tool without such artifacts, it is empty.
func FS(ctx context.Context) fs.FS {
	tree := make(sealedFS)
	if t := toolOf(ctx); t != nil {
		for _, f := range t.files {
			tree[f.Path()] = f
		}
	}
	return tree
}

// sealedFS has the files by their paths; folders are what the paths imply.
type sealedFS map[string]*File

var (
	_ fs.ReadFileFS = sealedFS(nil)
	_ fs.ReadDirFS  = sealedFS(nil)
)

// Open implements [fs.FS].
func (s sealedFS) Open(name string) (fs.File, error) {
	if f := s[name]; f != nil {
		return &openFile{f, f.Reader()}, nil
	}
	list, err := s.ReadDir(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &openDir{folder(path.Base(name)), list}, nil
}

// ReadFile implements [fs.ReadFileFS]: it copies.
func (s sealedFS) ReadFile(name string) ([]byte, error) {
	f := s[name]
	if f == nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	data := make([]byte, f.Size())
	_, err := f.ReadAt(data, 0)
	if len(data) == 0 {
		err = nil
	}
	return data, err
}

// ReadDir implements [fs.ReadDirFS].
func (s sealedFS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries := make(map[string]fs.DirEntry)
	prefix := name + "/"
	if name == "." {
		prefix = ""
	}
	for p, f := range s {
		rest, below := strings.CutPrefix(p, prefix)
		if !below || !fs.ValidPath(name) {
			continue
		}
		if first, _, deeper := strings.Cut(rest, "/"); deeper {
			entries[first] = fs.FileInfoToDirEntry(folder(first))
		} else {
			entries[first] = fs.FileInfoToDirEntry(info{f})
		}
	}
	if len(entries) == 0 && name != "." {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return slices.SortedFunc(maps.Values(entries), func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) }), nil
}

type openFile struct {
	file *File
	*io.SectionReader
}

func (o *openFile) Stat() (fs.FileInfo, error) { return info{o.file}, nil }
func (o *openFile) Close() error               { return nil }

type openDir struct {
	folder
	left []fs.DirEntry
}

func (o *openDir) Stat() (fs.FileInfo, error) { return o.folder, nil }
func (o *openDir) Close() error               { return nil }
func (o *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: o.Name(), Err: fs.ErrInvalid}
}

// ReadDir implements [fs.ReadDirFile].
func (o *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(o.left)
	} else if len(o.left) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(o.left))
	out := o.left[:n]
	o.left = o.left[n:]
	return out, nil
}

// info describes a file. Nothing is known of when it was written.
type info struct{ file *File }

func (i info) Name() string       { return path.Base(i.file.Path()) }
func (i info) Size() int64        { return i.file.Size() }
func (i info) Mode() fs.FileMode  { return 0o444 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }

// folder describes a folder by its name.
type folder string

func (f folder) Name() string       { return string(f) }
func (f folder) Size() int64        { return 0 }
func (f folder) Mode() fs.FileMode  { return fs.ModeDir | 0o555 }
func (f folder) ModTime() time.Time { return time.Time{} }
func (f folder) IsDir() bool        { return true }
func (f folder) Sys() any           { return nil }
