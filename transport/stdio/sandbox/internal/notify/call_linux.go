package notify

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A call is struct seccomp_notif of the kernel: a system call that waits for an answer.
type call struct {
	id    uint64
	pid   uint32 // of the thread
	_     uint32
	nr    int32
	_     uint32 // architecture
	_     uint64 // instruction
	args  [6]uint64
	spare [432]byte // room for what a later kernel adds
}

// A reply is struct seccomp_notif_resp.
type reply struct {
	id  uint64
	val int64
	err int32 // negative
	_   uint32
	_   [232]byte
}

// An injection is struct seccomp_notif_addfd.
type injection struct {
	id         uint64
	flags      uint32
	from       uint32
	to         uint32
	descriptor uint32 // flags
}

// checkSizes refuses kernels that write more than there is room for.
func checkSizes() error {
	var sizes struct{ call, reply, data uint16 }
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_NOTIF_SIZES, 0, uintptr(unsafe.Pointer(&sizes))) //nolint:gosec // a structure of the kernel's
	if errno != 0 {
		return fmt.Errorf("notify: seccomp user notification, of Linux 5.9: %w", errno)
	}
	if uintptr(sizes.call) > unsafe.Sizeof(call{}) || uintptr(sizes.reply) > unsafe.Sizeof(reply{}) {
		return errors.New("notify: this kernel's notifications are larger than this program knows: use a newer release")
	}
	return nil
}

func ioctl(fd int, request uintptr, argument unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

func receive(fd int) (*call, error) {
	c := new(call)                                                        // the kernel wants zeros
	return c, ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(c)) //nolint:gosec // a structure of the kernel's
}

// valid reports whether the call still waits, so that what was read by its pid was its own.
func (c *call) valid(fd int) bool {
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&c.id)) == nil //nolint:gosec // a structure of the kernel's
}

// answer ends the call: with success if errno is 0.
func (c *call) answer(fd int, errno unix.Errno) error {
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&reply{id: c.id, err: -int32(errno)})) //nolint:gosec // a structure of the kernel's; an error number is small
}

// inject puts the host's socket in the place of the descriptor to.
func (c *call) inject(fd, socket int, to uint32, cloexec bool) error {
	in := injection{id: c.id, flags: unix.SECCOMP_ADDFD_FLAG_SETFD, from: uint32(socket), to: to} //nolint:gosec // a descriptor
	if cloexec {
		in.descriptor = unix.O_CLOEXEC
	}
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&in)) //nolint:gosec // a structure of the kernel's
}
