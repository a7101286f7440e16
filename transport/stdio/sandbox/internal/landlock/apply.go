//go:build linux

package landlock

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ABI is the version of the kernel's interface, 0 if it has none.
func ABI() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// Attr is the kernel's struct landlock_ruleset_attr.
func (s *Ruleset) Attr() unix.LandlockRulesetAttr {
	return unix.LandlockRulesetAttr{Handled_access_fs: s.Files, Handled_access_net: s.Net, Scoped: s.Scope}
}

// AttrSize is how much of Attr the kernel has to know: older ones refuse a longer one.
func (s *Ruleset) AttrSize() uintptr {
	switch {
	case s.Scope != 0:
		return 24
	case s.Net != 0:
		return 16
	}
	return 8
}

// Open makes the ruleset in the kernel. Its descriptor is closed on exec.
func (s *Ruleset) Open() (fd int, err error) {
	attr := s.Attr()
	r, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), s.AttrSize(), 0) //nolint:gosec // a system call
	if errno != 0 {
		return -1, fmt.Errorf("landlock: create ruleset: %w", errno)
	}
	fd = int(r)
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	for _, rule := range s.Rules {
		if err := addPath(fd, rule); err != nil {
			return -1, err
		}
	}
	for access, ports := range map[uint64][]uint16{
		unix.LANDLOCK_ACCESS_NET_CONNECT_TCP: s.Connect,
		unix.LANDLOCK_ACCESS_NET_BIND_TCP:    s.Bind,
	} {
		for _, port := range ports {
			attr := PortAttr{Access: access, Port: uint64(port)}
			if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, r, RuleNetPort, uintptr(unsafe.Pointer(&attr)), 0, 0, 0); errno != 0 { //nolint:gosec // a system call
				return -1, fmt.Errorf("landlock: port %d: %w", port, errno)
			}
		}
	}
	return fd, nil
}

// RuleNetPort is the kernel's LANDLOCK_RULE_NET_PORT.
const RuleNetPort = 2

// PortAttr is the kernel's struct landlock_net_port_attr.
type PortAttr struct{ Access, Port uint64 }

func addPath(fd int, rule Rule) error {
	at, err := unix.Open(rule.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		if rule.Optional && errors.Is(err, unix.ENOENT) {
			return nil
		}
		return fmt.Errorf("landlock: %s: %w", rule.Path, err)
	}
	defer func() { _ = unix.Close(at) }()
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rule.Access, Parent_fd: int32(at)}                                                                          //nolint:gosec // a descriptor
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0); errno != 0 { //nolint:gosec // a descriptor
		return fmt.Errorf("landlock: %s: %w", rule.Path, errno)
	}
	return nil
}
