package telemetry

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/seccomp"
)

// decode reads what a program sent. The texts are those of a stranger.
func decode(raw []byte) (e Event, ok bool) {
	if len(raw) < eventSize {
		return e, false
	}
	at := func(offset int) uint64 { return binary.NativeEndian.Uint64(raw[offset:]) }
	const upperHalf = 32
	e.PID = int(at(atThread) >> upperHalf)
	result := int64(at(atResult)) //nolint:gosec // errors are negative
	if result < 0 {
		e.Errno = unix.ErrnoName(unix.Errno(-result))
	}
	e.Call = seccomp.Name(runtime.GOARCH, int(at(atCall))) //nolint:gosec // a number of a call
	first, second := raw[atFirst:atFirst+textSize], raw[atSecond:atSecond+textSize]
	switch at(atKind) {
	case kindExec:
		e.Kind, e.Call, e.Errno, e.Path = Exec, "", "", text(first)
	case kindConnect:
		e.Kind = Connect
		e.Addr, e.Path = address(second[:sockaddrSize])
	case kindRefused:
		e.Kind = Refused
		switch {
		case pathFirst[e.Call]:
			e.Path = text(first)
		case pathSecond[e.Call]:
			e.Path = text(second)
		}
	default:
		return e, false
	}
	return e, true
}

func text(raw []byte) string {
	if end := bytes.IndexByte(raw, 0); end >= 0 {
		raw = raw[:end]
	}
	return string(raw)
}

func address(raw []byte) (addr netip.AddrPort, path string) {
	port := binary.BigEndian.Uint16(raw[2:])
	switch binary.NativeEndian.Uint16(raw) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), port), ""
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[8:24])).Unmap(), port), ""
	case unix.AF_UNIX:
		if raw[2] == 0 {
			return netip.AddrPort{}, "@" + text(raw[3:])
		}
		return netip.AddrPort{}, text(raw[2:])
	}
	return netip.AddrPort{}, ""
}

// Calls whose first or second argument is a path.
var (
	pathFirst  = set("open creat stat lstat access chdir readlink statfs mkdir rmdir unlink rename link truncate chmod chown lchown execve mknod mount umount2 chroot pivot_root swapon")
	pathSecond = set("openat openat2 newfstatat statx faccessat faccessat2 readlinkat mkdirat unlinkat renameat renameat2 linkat fchmodat fchmodat2 fchownat utimensat execveat mknodat symlink open_tree")
)

func set(words string) map[string]bool {
	all := make(map[string]bool)
	for word := range strings.FieldsSeq(words) {
		all[word] = true
	}
	return all
}
