//go:build linux

package oci

import (
	"fmt"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/seccomp"
)

// architectures are the names of the specification.
var architectures = map[string]specs.Arch{"amd64": specs.ArchX86_64, "arm64": specs.ArchAARCH64}

// The rules of libseccomp, which runtimes compile, cannot compare one argument twice: of
// calls with many kinds, the harmless kinds are named instead of the others.
var (
	ioctls = []uint64{
		unix.TCGETS, unix.TIOCGWINSZ, unix.TIOCGPGRP, unix.TIOCINQ, fionbio, fioclex, fionclex, unix.TIOCOUTQ, unix.FICLONE, unix.FICLONERANGE,
		unix.SIOCGIFCONF, unix.SIOCGIFFLAGS, unix.SIOCGIFADDR, unix.SIOCGIFINDEX, unix.SIOCGIFNAME, unix.SIOCGIFMTU, unix.SIOCGIFNETMASK, unix.SIOCGIFHWADDR,
	}
	prctls = []uint64{
		unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_DUMPABLE, unix.PR_GET_DUMPABLE, unix.PR_SET_NO_NEW_PRIVS, unix.PR_GET_NO_NEW_PRIVS, unix.PR_GET_SECCOMP,
		unix.PR_SET_TIMERSLACK, unix.PR_GET_TIMERSLACK, unix.PR_SET_VMA, unix.PR_SET_PTRACER, unix.PR_CAPBSET_READ, unix.PR_SET_THP_DISABLE, unix.PR_GET_THP_DISABLE,
		unix.PR_GET_SPECULATION_CTRL, unix.PR_SET_CHILD_SUBREAPER, unix.PR_GET_CHILD_SUBREAPER, unix.PR_GET_KEEPCAPS, unix.PR_GET_SECUREBITS, unix.PR_GET_PDEATHSIG,
	}
)

const (
	newNamespace = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_PARENT
	socketType   = 0xf

	// Of descriptors, the same on both architectures.
	fionbio, fionclex, fioclex = 0x5421, 0x5450, 0x5451
)

// filter is the published list for a runtime. What is not named answers EPERM.
func filter(p *sandbox.Profile) (*specs.LinuxSeccomp, error) {
	arch, ok := architectures[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("there is no list of system calls for %s", runtime.GOARCH)
	}
	refused, missing := uint(unix.EPERM), uint(unix.ENOSYS)
	names := append(seccomp.Plain(), "connect", "utimensat", "sched_setaffinity", "sched_setparam", "sched_setscheduler", "sched_setattr", "setpriority", "ioprio_set")
	// What the sandbox's own filter does not take, this one does not either.
	if _, err := seccomp.Compile(seccomp.Options{Arch: runtime.GOARCH, Allow: p.Syscalls}); err != nil {
		return nil, err
	}
	names = append(names, p.Syscalls...)
	if !p.NoFileless {
		names = append(names, "memfd_create", "execveat")
	}
	s := &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno, DefaultErrnoRet: &refused, Architectures: []specs.Arch{arch},
		Syscalls: []specs.LinuxSyscall{
			{Names: names, Action: specs.ActAllow},
			{Names: seccomp.Absent(), Action: specs.ActErrno, ErrnoRet: &missing},
		},
	}
	allow := func(name string, args ...specs.LinuxSeccompArg) {
		s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActAllow, Args: args})
	}
	allow("clone", none(0, newNamespace))
	allow("sendto", none(3, unix.MSG_FASTOPEN))
	allow("sendmsg", none(2, unix.MSG_FASTOPEN))
	allow("sendmmsg", none(3, unix.MSG_FASTOPEN))
	for _, typ := range []uint64{unix.SOCK_STREAM, unix.SOCK_SEQPACKET} { // one of datagrams may leave its pair
		allow("socketpair", is(0, unix.AF_UNIX), masked(1, socketType, typ))
	}
	allow("prlimit64", is(0, 0))
	for _, kind := range ioctls {
		allow("ioctl", is(1, kind))
	}
	for _, kind := range prctls {
		allow("prctl", is(0, kind))
	}
	for _, family := range []uint64{unix.AF_INET, unix.AF_INET6} {
		for typ, protocol := range map[uint64]uint64{unix.SOCK_STREAM: unix.IPPROTO_TCP, unix.SOCK_DGRAM: unix.IPPROTO_UDP} {
			for _, number := range []uint64{0, protocol} {
				allow("socket", is(0, family), masked(1, socketType, typ), is(2, number))
			}
		}
	}
	allow("socket", is(0, unix.AF_NETLINK), is(2, unix.NETLINK_ROUTE))
	if p.Unix {
		allow("socket", is(0, unix.AF_UNIX))
		allow("socketpair", is(0, unix.AF_UNIX))
	}
	return s, nil
}

func is(index uint, value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: index, Value: value, Op: specs.OpEqualTo}
}

func masked(index uint, mask, value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: index, Value: mask, ValueTwo: value, Op: specs.OpMaskedEqual}
}

// none allows an argument without any of the bits.
func none(index uint, bits uint64) specs.LinuxSeccompArg { return masked(index, bits, 0) }
