//go:build linux

package landlock

import (
	"golang.org/x/sys/unix"
)

// Oldest is the ABI below which files outside can be cut off with truncate(2).
const Oldest = 3

// A Rule grants rights below a path, or to one file.
type Rule struct {
	Path   string // absolute
	Access uint64
	// Optional rules are left out if nothing is there when they are applied.
	Optional bool
}

// A Ruleset is what a process is restricted to: the rights that it handles are refused
// everywhere but where a rule grants them.
type Ruleset struct {
	Files uint64 // handled rights of files
	Net   uint64 // handled rights of TCP ports
	Scope uint64 // what ends at the border of the ruleset: signals, abstract sockets
	Rules []Rule
	// Connect and Bind are the TCP ports that may be connected to and bound.
	Connect, Bind []uint16
}

// The kinds of rights.
const (
	// Read lists folders and reads files.
	Read uint64 = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	// Exec reads and executes.
	Exec = Read | unix.LANDLOCK_ACCESS_FS_EXECUTE
	// Write reads, writes, creates and removes, and neither executes nor makes devices.
	Write = Read | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REFER |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK
	// Device reads from and writes to a device that exists, such as /dev/null.
	Device uint64 = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE

	// ofFiles are the rights that mean something for what is not a folder; the kernel
	// refuses rules for files with others.
	ofFiles uint64 = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV | unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX
)

// filesOf are all rights of files of an ABI.
func filesOf(abi int) uint64 {
	switch {
	case abi >= 9:
		return unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX<<1 - 1
	case abi >= 5:
		return unix.LANDLOCK_ACCESS_FS_IOCTL_DEV<<1 - 1
	case abi >= 3:
		return unix.LANDLOCK_ACCESS_FS_TRUNCATE<<1 - 1
	case abi >= 2:
		return unix.LANDLOCK_ACCESS_FS_REFER<<1 - 1
	case abi >= 1:
		return unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1
	}
	return 0
}

// netOf are the rights of TCP of an ABI. Those of UDP, from 10, are left alone: sockets
// for it are a matter of the system call filter.
func netOf(abi int) uint64 {
	if abi >= 4 {
		return unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	return 0
}

// scopeOf are the borders of an ABI.
func scopeOf(abi int) uint64 {
	if abi >= 6 {
		return unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	return 0
}
