//go:build unix

package stdio

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// standard are a process's standard input and output while the protocol has them.
type standard struct {
	in      *input
	out     *os.File
	ignored chan os.Signal // SIGPIPE
}

// takeStandard moves both to descriptors that no child inherits.
func takeStandard() (_ *standard, err error) {
	s := &standard{ignored: make(chan os.Signal, 1)}
	var undo []func() error
	defer func() {
		if err != nil {
			for _, f := range slices.Backward(undo) {
				err = errors.Join(err, f())
			}
		}
	}()
	in, err := private(0, "standard input")
	if err != nil {
		return nil, err
	}
	undo = append(undo, in.Close)
	if s.out, err = private(1, "standard output"); err != nil {
		return nil, err
	}
	undo = append(undo, s.out.Close)
	if s.in, err = newInput(in); err != nil {
		return nil, err
	}
	undo = append(undo, s.in.wake.Close, s.in.woken.Close)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }() // the copies stay
	undo = append(undo, func() error { return s.restore() })
	if err := replace(int(null.Fd()), 0); err != nil {
		return nil, err
	}
	err = replace(2, 1)
	if errors.Is(err, unix.EBADF) { // no standard error either
		err = replace(int(null.Fd()), 1)
	}
	if err != nil {
		return nil, err
	}
	// What is printed goes to an end that the client may have closed, and the Go runtime
	// ends a process for that on descriptors 1 and 2.
	signal.Notify(s.ignored, syscall.SIGPIPE)
	return s, nil
}

// private returns a descriptor of its own for what a standard one leads to.
func private(fd int, name string) (*os.File, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: start the server with a pipe there", name, err)
	}
	return os.NewFile(uintptr(own), name), nil
}

func (s *standard) restore() error {
	return errors.Join(replace(int(s.in.file.Fd()), 0), replace(int(s.out.Fd()), 1))
}

// giveBack puts both back to where they were.
func (s *standard) giveBack() error {
	signal.Stop(s.ignored)
	err := s.restore()
	return errors.Join(err, s.in.file.Close(), s.in.wake.Close(), s.in.woken.Close(), s.out.Close())
}

// An input can be told to end while a Read waits, whatever it is: its flags are shared
// with other processes and stay as they are.
type input struct {
	file        *os.File
	woken, wake *os.File
}

func newInput(file *os.File) (*input, error) {
	woken, wake, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &input{file, woken, wake}, nil
}

// Read implements [io.Reader].
func (in *input) Read(p []byte) (int, error) {
	for {
		ready := []unix.PollFd{{Fd: int32(in.woken.Fd()), Events: unix.POLLIN}, {Fd: int32(in.file.Fd()), Events: unix.POLLIN}} //nolint:gosec // descriptors are small
		_, err := unix.Poll(ready, -1)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			return 0, fmt.Errorf("poll: %w", err)
		case ready[0].Revents != 0:
			return 0, io.EOF
		}
		return in.file.Read(p)
	}
}

// interrupt ends a Read that waits, and those to come.
func (in *input) interrupt() { _, _ = in.wake.Write([]byte{0}) } // fails once it is closed
