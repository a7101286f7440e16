package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxSwapped sockets, and as many before them, are kept in mind for calls that begin again.
const maxSwapped = 1024

// A supervisor answers the connect calls of one filter.
type supervisor struct {
	fd      int
	connect Connect
	// swapped are the last sockets that were put in the place of others, by inode, and
	// where each leads; older are those before.
	swapped, older map[uint64]netip.AddrPort
}

// Serve answers the connect calls that arrive on a seccomp listener, one at a time, until no
// process of the filter is left (nil) or ctx ends. It takes the listener over and closes it:
// later calls fail with ENOSYS.
func Serve(ctx context.Context, listener *os.File, connect Connect) error {
	fd, err := duplicate(listener)
	_ = listener.Close()
	if err != nil {
		return fmt.Errorf("notify: listener: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := checkSizes(); err != nil {
		return err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("notify: eventfd: %w", err)
	}
	defer func() { _ = unix.Close(wake) }()
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 1})
	})
	defer func() {
		if !stop() {
			<-woken // before the descriptor is closed
		}
	}()
	s := &supervisor{fd: fd, connect: connect, swapped: make(map[uint64]netip.AddrPort)}
	for {
		more, err := s.wait(wake)
		if err != nil || !more {
			return errors.Join(err, ctx.Err())
		}
		c, err := receive(s.fd)
		switch {
		case errors.Is(err, unix.ENOENT): // the caller is gone
		case err != nil:
			return fmt.Errorf("notify: receive: %w", err)
		default:
			s.serve(ctx, c)
		}
	}
}

// wait reports whether there is a call; if not, all processes are gone or wake was written.
func (s *supervisor) wait(wake int) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}} //nolint:gosec // descriptors
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false, fmt.Errorf("notify: poll: %w", err)
		case fds[1].Revents != 0:
			return false, nil
		case fds[0].Revents&unix.POLLIN != 0:
			return true, nil
		default:
			return false, nil
		}
	}
}

// serve answers one call.
func (s *supervisor) serve(ctx context.Context, c *call) {
	errno := unix.EACCES
	err := s.swap(ctx, c)
	if err == nil {
		errno = 0
	} else if e, ok := errors.AsType[unix.Errno](err); ok {
		errno = e
	}
	_ = c.answer(s.fd, errno) // a caller that was interrupted calls again
}

// swap puts a connected socket in the place of the caller's.
func (s *supervisor) swap(ctx context.Context, c *call) error {
	raw, err := readAddress(c)
	if err != nil {
		return unix.EFAULT
	}
	address, family, err := parseAddress(raw)
	if err != nil {
		return err
	}
	old, err := openSocket(c, family)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(old) }()
	cloexec := closesOnExec(c)
	if !c.valid(s.fd) {
		return unix.EACCES // what was read may be another process's
	}
	if _, err := unix.Getpeername(old); err == nil {
		return s.again(old, address)
	}
	conn, err := s.connect(ctx, address)
	if err != nil {
		return unix.EACCES
	}
	socket, err := take(conn)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(socket) }()
	if err := imitate(socket, old); err != nil {
		return err
	}
	if err := c.inject(s.fd, socket, uint32(c.args[0]), cloexec); err != nil { //nolint:gosec // the kernel takes an int
		return err
	}
	id, err := inode(socket)
	if err != nil {
		return err
	}
	s.remember(id, address)
	return nil
}

// again answers a call for a socket that is connected: with success if it was swapped for a
// call to the same address. A signal may have taken that call away before its answer
// arrived, even where the kernel says that it did; then the caller calls again.
func (s *supervisor) again(socket int, address netip.AddrPort) error {
	id, err := inode(socket)
	to, ok := s.swapped[id]
	if !ok {
		to, ok = s.older[id]
	}
	if err == nil && ok && to == address {
		return nil
	}
	return unix.EISCONN
}

func (s *supervisor) remember(socket uint64, address netip.AddrPort) {
	if len(s.swapped) >= maxSwapped {
		s.older, s.swapped = s.swapped, make(map[uint64]netip.AddrPort)
	}
	s.swapped[socket] = address
}

// take returns the descriptor of a connection, which Go's runtime no longer knows of.
func take(conn *net.TCPConn) (int, error) {
	defer func() { _ = conn.Close() }()
	return duplicate(conn)
}

// duplicate returns a descriptor of its own for a file or socket, whoever closes that.
func duplicate(of syscall.Conn) (int, error) {
	raw, err := of.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	controlled := raw.Control(func(theirs uintptr) {
		fd, err = unix.FcntlInt(theirs, unix.F_DUPFD_CLOEXEC, 3)
	})
	return fd, errors.Join(err, controlled)
}

// imitate gives the socket what the program has set on the one it replaces and waits by.
func imitate(socket, old int) error {
	flags, err := unix.FcntlInt(uintptr(old), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(socket, flags&unix.O_NONBLOCK != 0); err != nil {
		return err
	}
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		limit, err := unix.GetsockoptTimeval(old, unix.SOL_SOCKET, option)
		if err != nil {
			return err
		}
		if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, option, limit); err != nil {
			return err
		}
	}
	return nil
}
