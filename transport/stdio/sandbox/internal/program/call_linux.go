//go:build linux && (amd64 || arm64)

package program

import "golang.org/x/sys/unix"

// A Call is a system call: its name is the same on every architecture.
type Call struct {
	Name   string
	Number uintptr
}

// The calls that programs are made of; all of them exist on amd64 and arm64.
var (
	Bind         = Call{"bind", unix.SYS_BIND}
	Capset       = Call{"capset", unix.SYS_CAPSET}
	Chdir        = Call{"chdir", unix.SYS_CHDIR}
	Close        = Call{"close", unix.SYS_CLOSE}
	CloseRange   = Call{"close_range", unix.SYS_CLOSE_RANGE}
	Dup3         = Call{"dup3", unix.SYS_DUP3}
	Execve       = Call{"execve", unix.SYS_EXECVE}
	Execveat     = Call{"execveat", unix.SYS_EXECVEAT}
	ExitGroup    = Call{"exit_group", unix.SYS_EXIT_GROUP}
	Fcntl        = Call{"fcntl", unix.SYS_FCNTL}
	Getpid       = Call{"getpid", unix.SYS_GETPID}
	Ioctl        = Call{"ioctl", unix.SYS_IOCTL}
	LandlockAdd  = Call{"landlock_add_rule", unix.SYS_LANDLOCK_ADD_RULE}
	LandlockNew  = Call{"landlock_create_ruleset", unix.SYS_LANDLOCK_CREATE_RULESET}
	LandlockSelf = Call{"landlock_restrict_self", unix.SYS_LANDLOCK_RESTRICT_SELF}
	Listen       = Call{"listen", unix.SYS_LISTEN}
	Mkdirat      = Call{"mkdirat", unix.SYS_MKDIRAT}
	Mknodat      = Call{"mknodat", unix.SYS_MKNODAT}
	Mount        = Call{"mount", unix.SYS_MOUNT}
	MountSetattr = Call{"mount_setattr", unix.SYS_MOUNT_SETATTR}
	MoveMount    = Call{"move_mount", unix.SYS_MOVE_MOUNT}
	OpenTree     = Call{"open_tree", unix.SYS_OPEN_TREE}
	Openat       = Call{"openat", unix.SYS_OPENAT}
	Openat2      = Call{"openat2", unix.SYS_OPENAT2}
	PivotRoot    = Call{"pivot_root", unix.SYS_PIVOT_ROOT}
	Prctl        = Call{"prctl", unix.SYS_PRCTL}
	Prlimit      = Call{"prlimit64", unix.SYS_PRLIMIT64}
	Read         = Call{"read", unix.SYS_READ}
	Recvfrom     = Call{"recvfrom", unix.SYS_RECVFROM}
	Seccomp      = Call{"seccomp", unix.SYS_SECCOMP}
	Sendmsg      = Call{"sendmsg", unix.SYS_SENDMSG}
	Sendto       = Call{"sendto", unix.SYS_SENDTO}
	Setgroups    = Call{"setgroups", unix.SYS_SETGROUPS}
	Sethostname  = Call{"sethostname", unix.SYS_SETHOSTNAME}
	Setresgid    = Call{"setresgid", unix.SYS_SETRESGID}
	Setresuid    = Call{"setresuid", unix.SYS_SETRESUID}
	Setsid       = Call{"setsid", unix.SYS_SETSID}
	Sigaction    = Call{"rt_sigaction", unix.SYS_RT_SIGACTION}
	Sigprocmask  = Call{"rt_sigprocmask", unix.SYS_RT_SIGPROCMASK}
	Socket       = Call{"socket", unix.SYS_SOCKET}
	Symlinkat    = Call{"symlinkat", unix.SYS_SYMLINKAT}
	Umount       = Call{"umount2", unix.SYS_UMOUNT2}
	Unshare      = Call{"unshare", unix.SYS_UNSHARE}
	Write        = Call{"write", unix.SYS_WRITE}
)
