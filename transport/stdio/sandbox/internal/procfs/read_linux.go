package procfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/eintr"
)

// Most bounds the files of one process, of which the longest has a line of 65,536 groups.
const Most = 1 << 20

// MostOfHost bounds the files of a host: there may be 100,000 mounts and a process for
// every number.
const MostOfHost = 64 << 20

// pages are what files are read into.
var pages = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// Read returns the text of a file, of at most so many bytes.
func Read(path string, most int) (string, error) {
	fd, err := eintr.Open(path, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }()
	page, _ := pages.Get().(*[16 << 10]byte)
	defer pages.Put(page)
	var whole []byte
	for have := 0; ; {
		n := 0
		err := eintr.Ignore(func() (err error) {
			n, err = unix.Read(fd, page[have:])
			return err
		})
		switch {
		case err != nil:
			return "", &fs.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return string(append(whole, page[:have]...)), nil
		}
		if have += n; len(whole)+have > most {
			return "", fmt.Errorf("%s: more than %d bytes", path, most)
		}
		if have == len(page) {
			whole, have = append(whole, page[:]...), 0
		}
	}
}

// Line returns the first line of a file, empty if it cannot be read.
func Line(path string) string {
	text, _ := Read(path, Most)
	first, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(first)
}

// StatusOf reads the status of a process or thread by its folder, such as /proc/self.
func StatusOf(process string) (Status, error) {
	text, err := Read(process+"/status", Most)
	return Status(text), err
}

// LimitsOf reads the limits of a process by its folder.
func LimitsOf(process string) (Limits, error) {
	text, err := Read(process+"/limits", Most)
	return Limits(text), err
}

// Namespace returns what a namespace of a process is known by, such as "net:[4026531840]".
// The kind is the name of its file, such as "net".
func Namespace(process, kind string) (string, error) {
	path := process + "/ns/" + kind
	var name [64]byte // the number in it has 32 bits
	n := 0
	err := eintr.Ignore(func() (err error) {
		n, err = unix.Readlink(path, name[:])
		return err
	})
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return string(name[:n]), nil
}

// Release is the kernel's, which uname tells where no /proc is seen; empty if it does not.
func Release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// Write writes a file in one call, as the kernel wants it.
func Write(path, text string) error {
	fd, err := eintr.Open(path, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	err = eintr.Ignore(func() error {
		_, err := unix.Write(fd, []byte(text))
		return err
	})
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

// Each calls f with the name of every entry of a folder, which is gone after the call.
func Each(path string, f func(name []byte)) error {
	fd, err := eintr.Open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	page, _ := pages.Get().(*[16 << 10]byte)
	defer pages.Put(page)
	const lengthAt, nameAt = 16, 19 // in the kernel's struct linux_dirent64
	for {
		n := 0
		err := eintr.Ignore(func() (err error) {
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
