//go:build linux

package eintr

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Ignore makes a call again for as long as a signal interrupts it.
func Ignore(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Open opens what is there, to be closed on exec.
func Open(path string, flags int) (fd int, err error) {
	err = Ignore(func() error {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
