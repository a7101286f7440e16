package notify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
	"golang.org/x/sys/unix"
)

// maxAddress is the size of struct sockaddr_storage.
const maxAddress = 128

// readAddress copies the address that a connect call names out of the process.
func readAddress(c *call) ([]byte, error) {
	size := int(int32(c.args[2])) //nolint:gosec // the kernel takes an int
	if size < 2 || size > maxAddress {
		return nil, unix.EINVAL
	}
	b := make([]byte, size)
	local := []unix.Iovec{{Base: &b[0]}}
	local[0].SetLen(size)
	n, err := unix.ProcessVMReadv(int(c.pid), local, []unix.RemoteIovec{{Base: uintptr(c.args[1]), Len: size}}, 0)
	if err != nil {
		return nil, err
	}
	if n != size {
		return nil, unix.EFAULT
	}
	return b, nil
}

// parseAddress reads a struct sockaddr of the Internet families.
func parseAddress(b []byte) (netip.AddrPort, uint16, error) {
	if len(b) < 2 {
		return netip.AddrPort{}, 0, unix.EINVAL
	}
	family := binary.NativeEndian.Uint16(b)
	switch family {
	case unix.AF_INET:
		if len(b) < unix.SizeofSockaddrInet4 {
			return netip.AddrPort{}, family, unix.EINVAL
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])), family, nil
	case unix.AF_INET6:
		if len(b) < 24 { // without the scope, which RFC 2133 did not have
			return netip.AddrPort{}, family, unix.EINVAL
		}
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), binary.BigEndian.Uint16(b[2:])), family, nil
	}
	return netip.AddrPort{}, family, unix.EAFNOSUPPORT
}

// openSocket returns a descriptor of our own for the socket of the call, which must be of
// TCP and of the address's family.
func openSocket(c *call, family uint16) (int, error) {
	process, err := openProcess(int(c.pid))
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(process) }()
	fd, err := unix.PidfdGetfd(process, int(int32(c.args[0])), 0) //nolint:gosec // the kernel takes an int
	if err != nil {
		return -1, err
	}
	if err := checkSocket(fd, family); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func checkSocket(fd int, family uint16) error {
	for option, want := range map[int]int{unix.SO_TYPE: unix.SOCK_STREAM, unix.SO_DOMAIN: int(family), unix.SO_PROTOCOL: unix.IPPROTO_TCP} {
		have, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return err // such as ENOTSOCK
		}
		if have != want {
			return unix.EAFNOSUPPORT
		}
	}
	return nil
}

// openProcess opens the thread, or its process on kernels before 6.9.
func openProcess(thread int) (int, error) {
	fd, err := unix.PidfdOpen(thread, unix.PIDFD_THREAD)
	if !errors.Is(err, unix.EINVAL) {
		return fd, err
	}
	status, err := procfs.StatusOf(fmt.Sprintf("/proc/%d", thread))
	if err != nil {
		return -1, err
	}
	process, err := status.Number("Tgid", 10)
	if err != nil {
		return -1, err
	}
	return unix.PidfdOpen(int(process), 0) //nolint:gosec // at most 4,194,304
}

// closesOnExec reports whether the descriptor of the call does; if in doubt, it does.
func closesOnExec(c *call) bool {
	text, err := procfs.Read(fmt.Sprintf("/proc/%d/fdinfo/%d", c.pid, uint32(c.args[0])), procfs.Most) //nolint:gosec // the kernel takes an int
	if err != nil {
		return true
	}
	flags, err := procfs.Status(text).Number("flags", 8)
	return err != nil || flags&unix.O_CLOEXEC != 0
}

// inode returns what the kernel knows a socket by.
func inode(fd int) (uint64, error) {
	var stat unix.Stat_t
	err := unix.Fstat(fd, &stat)
	return stat.Ino, err
}
