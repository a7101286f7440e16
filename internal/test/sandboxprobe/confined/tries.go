//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func socket(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// pairTo sends to a local service through one end of a pair, which needs no socket call.
func pairTo(path string) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) }()
	return unix.Sendto(pair[0], []byte("secret"), 0, &unix.SockaddrUnix{Name: path})
}

// byPathDescriptor changes the mode through a descriptor that was never opened for
// anything.
func byPathDescriptor(path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Fchmodat(fd, "", 0o666, unix.AT_EMPTY_PATH)
}

func chmodGiven(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Fchmod(fd, 0o644)
}

// flagGiven changes a flag of a file (chattr +d) that is open for reading only.
func flagGiven(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS) // the others stay: some cannot change
	if err != nil {
		return err
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|0x40))
}

// connect dials a port of this machine's, with data in the first packet if fast is set.
func connect(port int, fast bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	to := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	if fast {
		return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, to)
	}
	return unix.Connect(fd, to)
}

func listen() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

// listenUnbound has the kernel choose a port, on all addresses, without a bind call.
func listenUnbound() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Listen(fd, 1)
}

func execute(path string) error {
	process, err := os.StartProcess(path, []string{path}, &os.ProcAttr{})
	if err != nil {
		if errno, ok := errors.AsType[unix.Errno](err); ok {
			return errno
		}
		return err
	}
	state, err := process.Wait()
	if err == nil && !state.Success() {
		return fmt.Errorf("%v", state)
	}
	return err
}

// executeMemory runs a copy of a program that was never a file.
func executeMemory() error {
	fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return raw(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&[]byte{0}[0])), 0, 0, unix.AT_EMPTY_PATH) //nolint:gosec // a descriptor
}

func privileges() error {
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		return err
	}
	var header = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	if set != 1 || data != [2]unix.CapUserData{} {
		return fmt.Errorf("no_new_privs %d, capabilities %v", set, data)
	}
	return nil
}

// stray tells what is at an inherited descriptor now.
func stray(fd int) error {
	if fd == 0 {
		return nil
	}
	var st, null unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if err := unix.Stat(os.DevNull, &null); err != nil {
		return err
	}
	if st.Rdev != null.Rdev || st.Ino != null.Ino {
		return errors.New("still what it was")
	}
	return nil
}

// startThread opens a file on a thread that did not exist before.
func startThread(path string) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- open(path, unix.O_RDONLY)
	}()
	return <-done
}

func raw(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}
