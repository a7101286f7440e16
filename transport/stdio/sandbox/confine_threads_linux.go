package sandbox

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// threads make system calls on every thread of the process. Go can do that itself in
// programs without cgo, and ends the process if the answers differ: no thread stays
// behind. With cgo only the kernel can, for Landlock and for the filter.
type threads struct {
	all   bool // Go can reach all
	inner bool // the kernel has a flag for Landlock
}

// landlockThreads is the ABI from which the kernel restricts all threads in one call.
const landlockThreads = 8

func newThreads(abi int) (threads, error) {
	t := threads{inner: abi >= landlockThreads}
	// A question whose answer is the same for all threads.
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_GET_DUMPABLE, 0, 0)
	t.all = errno == 0
	if !t.all && !t.inner {
		return t, fmt.Errorf("sandbox: %s: a program with cgo has threads that Go cannot reach, and the kernel reaches them from landlock abi %d, this one has %d: build with CGO_ENABLED=0, or start it with Start",
			LandlockFiles, landlockThreads, abi)
	}
	return t, nil
}

// prctl calls prctl on all threads, or on this one where Go cannot reach all.
func (t threads) prctl(option, value, more uintptr) error {
	var errno syscall.Errno
	if t.all {
		_, _, errno = syscall.AllThreadsSyscall6(unix.SYS_PRCTL, option, value, more, 0, 0, 0)
	} else {
		_, _, errno = syscall.Syscall6(unix.SYS_PRCTL, option, value, more, 0, 0, 0)
	}
	return nonzero(errno)
}

// capset gives all threads no capability.
func (t threads) capset() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if !t.all {
		return unix.Capset(&header, &none[0])
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0) //nolint:gosec // a system call
	return nonzero(errno)
}

// ask makes every thread say that it is under a filter and gains no privileges.
func (threads) ask() error {
	for question, want := range map[uintptr]uintptr{unix.PR_GET_SECCOMP: unix.SECCOMP_MODE_FILTER, unix.PR_GET_NO_NEW_PRIVS: 1} {
		got, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, question, 0, 0)
		if errno != 0 || got != want {
			return fmt.Errorf("threads answer %d to question %d, not %d: %w", got, question, want, errno)
		}
	}
	return nil
}

func (t threads) restrict(ruleset int) error {
	fd := uintptr(ruleset)
	if t.inner {
		_, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, unix.LANDLOCK_RESTRICT_SELF_TSYNC, 0)
		return nonzero(errno)
	}
	if !t.all {
		return errors.New("threads of another language cannot be reached")
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0)
	return nonzero(errno)
}

// openat opens a folder on all threads and returns the error.
func (t threads) openat(path *byte) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	at := unix.AT_FDCWD
	var fd uintptr
	var errno syscall.Errno
	if t.all {
		_, _, errno = syscall.AllThreadsSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(path)), flags, 0, 0, 0) //nolint:gosec // AT_FDCWD is negative
	} else {
		fd, _, errno = syscall.Syscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(path)), flags, 0, 0, 0) //nolint:gosec // see above
		if errno == 0 {
			_ = unix.Close(int(fd))
		}
	}
	runtime.KeepAlive(path)
	return nonzero(errno)
}

func nonzero(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}
