//go:build linux

package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

const (
	allow  = uint32(unix.SECCOMP_RET_ALLOW)
	kill   = uint32(unix.SECCOMP_RET_KILL_PROCESS)
	notify = uint32(unix.SECCOMP_RET_USER_NOTIF)
	record = uint32(unix.SECCOMP_RET_LOG)
)

func errno(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) } //nolint:gosec // at most 4095

var (
	refuse  = errno(unix.EPERM)
	unknown = errno(unix.ENOSYS)
)

const (
	// newNamespace are the flags of clone that make a namespace. The one for time shares
	// its bit with the signal and cannot be given to clone. CLONE_PARENT would leave a
	// child to the host.
	newNamespace = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_PARENT
	// filterFlags hand the decisions of a filter to another process, and take back the
	// control of speculation.
	filterFlags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	// socketType leaves the flags of socket's second argument out.
	socketType = 0xf
)

// rules are the calls whose arguments decide. The kernel takes most of these arguments as
// 32 bits and ignores the upper half, and so do the rules; pointers are compared whole.
func (o Options) rules() map[string]block {
	yes, no := answer(allow), answer(refuse)
	rules := map[string]block{
		"clone":      arg(0, has(newNamespace, no, yes)),
		"socket":     o.socket(),
		"socketpair": arg(0, is(unix.AF_UNIX, o.pair(), answer(errno(unix.EAFNOSUPPORT)))),
		"connect":    yes,
		// Data in the first packet would go past rules that wait for connect.
		"sendto":   arg(3, has(unix.MSG_FASTOPEN, no, yes)),
		"sendmsg":  arg(2, has(unix.MSG_FASTOPEN, no, yes)),
		"sendmmsg": arg(3, has(unix.MSG_FASTOPEN, no, yes)),
		// Input and line disciplines of a terminal shared with the host.
		"ioctl": arg(1, in(terminal, no, yes)),
		"prctl": arg(0, in([]uint32{unix.PR_SET_MM, unix.PR_SET_SECUREBITS, unix.PR_SCHED_CORE}, no,
			// The signal at the parent's death is what ends an orphaned sandbox.
			is(unix.PR_SET_PDEATHSIG, arg(1, is(uint32(unix.SIGKILL), yes, no)), yes))),
		"seccomp": arg(1, has(filterFlags, no, yes)),
		// Pipes and ordinary files, no devices.
		"mknod":   arg(1, masked(unix.S_IFMT, in([]uint32{unix.S_IFCHR, unix.S_IFBLK}, no, yes))),
		"mknodat": arg(2, masked(unix.S_IFMT, in([]uint32{unix.S_IFCHR, unix.S_IFBLK}, no, yes))),
		// Limits of another process may be read, not set.
		"prlimit64":    arg(0, is(0, yes, null(2, yes, no))),
		"memfd_create": yes,
		"execveat":     yes,
		"utimensat":    yes,
	}
	// Scheduling of a process by number, 0 being the caller.
	for _, name := range words("sched_setaffinity sched_setparam sched_setscheduler sched_setattr") {
		rules[name] = o.itself(0)
	}
	// The same with a kind of number before: of processes, not of groups and users.
	rules["setpriority"] = o.itselfOf(unix.PRIO_PROCESS)
	rules["ioprio_set"] = o.itselfOf(ioprioProcess)
	if o.Notify {
		rules["connect"] = answer(notify)
	}
	if o.NoListen {
		rules["listen"] = no
	}
	if o.NoFileless {
		rules["memfd_create"] = arg(1, has(unix.MFD_NOEXEC_SEAL, yes, no))
		rules["execveat"] = arg(4, has(unix.AT_EMPTY_PATH, no, yes))
	}
	if o.NoExec {
		rules["execve"], rules["execveat"] = no, no
	}
	if o.Shared {
		// Without a path it is about a descriptor.
		rules["utimensat"] = null(1, yes, no)
		if o.ReadOnly {
			rules["utimensat"] = no
			rules["ioctl"] = arg(1, in(append(slices.Clone(terminal), ofFile...), no, yes))
		}
	}
	return rules
}

const (
	tiocLinux     = 0x541c
	ioprioProcess = 1
)

var (
	terminal = []uint32{unix.TIOCSTI, tiocLinux, unix.TIOCSETD, unix.TIOCCONS}
	// ofFile change flags, attributes, project, version and policy of a file that is open for
	// reading only. Two of them are the same number on both architectures, and unnamed.
	ofFile = []uint32{unix.FS_IOC_SETFLAGS, fsSetXattr, fsSetVersion, unix.FS_IOC_ENABLE_VERITY, unix.FS_IOC_SET_ENCRYPTION_POLICY}
)

const (
	fsSetXattr   = 0x401c5820
	fsSetVersion = 0x40087602
)

// itself allows a call for the caller only where processes are shared with the host.
func (o Options) itself(at int) block {
	if !o.Shared {
		return answer(allow)
	}
	return arg(at, is(0, answer(allow), answer(refuse)))
}

func (o Options) itselfOf(kind uint32) block {
	if !o.Shared {
		return answer(allow)
	}
	return arg(0, is(kind, o.itself(1), answer(refuse)))
}

// pair is the rule for the type of a pair of local sockets. One of datagrams (raw is the
// same) may leave its pair: it sends to any local socket that has a name.
func (o Options) pair() block {
	if o.Unix {
		return answer(allow)
	}
	return arg(1, masked(socketType, in([]uint32{unix.SOCK_STREAM, unix.SOCK_SEQPACKET}, answer(allow), answer(refuse))))
}

// socket is the rule for socket(family, type, protocol). Protocol 0 is the family's own;
// others of the same type (MPTCP, SCTP, UDP-Lite, ICMP) are not what rules for TCP and
// UDP see.
func (o Options) socket() block {
	yes, no := answer(allow), answer(refuse)
	protocol := func(number uint32) block {
		return arg(2, in([]uint32{0, number}, yes, answer(errno(unix.EPROTONOSUPPORT))))
	}
	internet, local, datagram := no, no, no
	if o.Datagram {
		datagram = protocol(unix.IPPROTO_UDP)
	}
	if o.Inet {
		internet = arg(1, masked(socketType, is(unix.SOCK_STREAM, protocol(unix.IPPROTO_TCP), is(unix.SOCK_DGRAM, datagram, no))))
	}
	if o.Unix {
		local = yes
	}
	return arg(0, in([]uint32{unix.AF_INET, unix.AF_INET6}, internet,
		is(unix.AF_UNIX, local,
			// For the names and addresses of interfaces.
			is(unix.AF_NETLINK, arg(2, is(unix.NETLINK_ROUTE, yes, answer(errno(unix.EAFNOSUPPORT)))),
				answer(errno(unix.EAFNOSUPPORT))))))
}
