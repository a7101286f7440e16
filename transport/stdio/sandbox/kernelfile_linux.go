//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"
)

// pages are what files of the kernel's are read into. A start reads a dozen of them, and
// package os would ask of each what kind of file it is.
var pages = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// text reads a file of the kernel's.
func text(path string) (string, error) {
	fd, err := openAt(path, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }()
	page, _ := pages.Get().(*[16 << 10]byte)
	defer pages.Put(page)
	var whole []byte
	for have := 0; ; {
		n := 0
		err := ignoringEINTR(func() (err error) {
			n, err = unix.Read(fd, page[have:])
			return err
		})
		switch {
		case err != nil:
			return "", &fs.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return string(append(whole, page[:have]...)), nil
		}
		if have += n; have == len(page) {
			whole, have = append(whole, page[:]...), 0
		}
	}
}

// put writes a file of the kernel's in one call.
func put(path, text string) error {
	fd, err := openAt(path, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	err = ignoringEINTR(func() error {
		_, err := unix.Write(fd, []byte(text))
		return err
	})
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

// each calls f with the name of every entry of a folder of the kernel's, which is gone
// after the call.
func each(path string, f func(name []byte)) error {
	fd, err := openAt(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	page, _ := pages.Get().(*[16 << 10]byte)
	defer pages.Put(page)
	const lengthAt, nameAt = 16, 19 // in the kernel's struct linux_dirent64
	for {
		n := 0
		err := ignoringEINTR(func() (err error) {
			n, err = unix.Getdents(fd, page[:])
			return err
		})
		switch {
		case err != nil:
			return &fs.PathError{Op: "list", Path: path, Err: err}
		case n == 0:
			return nil
		}
		for rest := page[:n]; len(rest) > nameAt; {
			next := int(binary.NativeEndian.Uint16(rest[lengthAt:]))
			name, _, _ := bytes.Cut(rest[nameAt:next], []byte{0})
			f(name)
			rest = rest[next:]
		}
	}
}

func openAt(path string, flags int) (fd int, err error) {
	err = ignoringEINTR(func() error {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
