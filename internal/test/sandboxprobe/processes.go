//go:build linux

package main

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var processProbes = []probe{
	{75, "the host's shared memory", "EINVAL", "EPERM", func(p *place) []string {
		return outcomes(raw(unix.SYS_SHMAT, uintptr(p.Segment), 0, unix.SHM_RDONLY))
	}},
	{75, "message queues", "EMFILE|ENOSPC", "EPERM", func(*place) []string {
		name, _ := unix.BytePtrFromString("probe")
		return outcomes(raw(unix.SYS_MQ_OPEN, pointer(name), unix.O_CREAT|unix.O_RDWR, 0o600, 0))
	}},
	{76, "signal the host", "ESRCH", "EPERM", func(p *place) []string {
		return outcomes(unix.Kill(p.Host, 0), unix.Tgkill(p.Host, p.Host, 0))
	}},
	{77, "see the host's processes", "few", "EACCES", func(*place) []string {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return outcomes(err)
		}
		n := 0
		for _, e := range entries {
			if _, err := strconv.Atoi(e.Name()); err == nil {
				n++
			}
		}
		if n > 5 {
			return said("%d", n)
		}
		return said("few")
	}},
	// Without a namespace for processes the number can be opened; what counts is that no
	// signal goes through.
	{78, "hold the host's process", "ESRCH", "EPERM", func(p *place) []string {
		fd, err := unix.PidfdOpen(p.Host, 0)
		if err != nil {
			return outcomes(err)
		}
		defer func() { _ = unix.Close(fd) }()
		return outcomes(unix.PidfdSendSignal(fd, 0, nil, 0))
	}},
	// Without a user namespace the kernel counts all of the user's processes together, and
	// a limit would stop the host's: cgroups are the only bound there.
	{79, "fork without end", "EAGAIN", "unlimited", forks},
	{80, "descriptors without end", "EMFILE", "", descriptors},
	{80, "lock memory", "ENOMEM|EPERM|EAGAIN", "", func(*place) []string {
		m, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return outcomes(err)
		}
		defer func() { _ = unix.Munmap(m) }()
		return outcomes(unix.Mlock(m))
	}},
	{81, "memory without end", "ENOMEM", "", func(*place) []string {
		m, err := unix.Mmap(-1, 0, 2<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		if err == nil {
			_ = unix.Munmap(m)
		}
		return outcomes(err)
	}},
	{82, "go before others", "EACCES|EPERM", "", func(*place) []string {
		const rt, process = 1 << 13, 1
		return outcomes(unix.Setpriority(unix.PRIO_PROCESS, 0, -10), raw(unix.SYS_SCHED_SETSCHEDULER, 0, unix.SCHED_FIFO, pointer(&[1]int32{1})),
			raw(unix.SYS_IOPRIO_SET, process, 0, rt|4))
	}},
	{83, "leave a core dump", "0", "", func(*place) []string { return limit(unix.RLIMIT_CORE) }},
	{84, "processor time", "as configured", "", func(p *place) []string {
		if got := limit(unix.RLIMIT_CPU)[0]; got != strconv.FormatUint(p.CPU, 10) {
			return said("%s", got)
		}
		return said("as configured")
	}},
	{93, "secrets in the environment", "none", "", func(*place) []string {
		for _, entry := range os.Environ() {
			for _, secret := range []string{"AWS_", "_TOKEN", "SSH_AUTH_SOCK", "KUBECONFIG", "DOCKER_HOST"} {
				if name, _, _ := strings.Cut(entry, "="); strings.Contains(name, secret) {
					return said("%s", name)
				}
			}
		}
		return said("none")
	}},
	{95, "inherited descriptors", "none", "", func(*place) []string {
		for fd := 3; fd < 1024; fd++ {
			// Those that Go opened itself are closed on exec.
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
				return said("%d", fd)
			}
		}
		return said("none")
	}},
	{96, "what argv and environment tell of the host", "as given", "", func(p *place) []string {
		if got := os.Environ(); !slices.Equal(got, p.Env) {
			return said("%q", got)
		}
		return said("as given")
	}},
	{117, "namespaces of its own", "own", "the host's", func(p *place) []string {
		var got []string
		for name, host := range p.Namespaces {
			what := "own"
			link, err := os.Readlink("/proc/self/ns/" + name)
			if err != nil {
				what = err.Error()
			} else if link == host {
				what = "the host's"
			}
			if !slices.Contains(got, what) {
				got = append(got, what)
			}
		}
		return got
	}},
}

func limit(resource int) []string {
	var l unix.Rlimit
	if err := unix.Getrlimit(resource, &l); err != nil {
		return outcomes(err)
	}
	return said("%d", l.Max)
}

// forks makes children that wait, up to 400, and ends them.
func forks(p *place) []string {
	if p.Tier == "T2" || p.Baseline {
		return said("unlimited")
	}
	var children []int
	defer func() {
		for _, pid := range children {
			_ = unix.Kill(pid, unix.SIGKILL)
			_, _ = unix.Wait4(pid, nil, 0, nil)
		}
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range 400 {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			return outcomes(errno)
		}
		if pid == 0 {
			for { // never returns to Go, which has no threads here
				_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
		}
		children = append(children, int(pid))
	}
	return said("400 children")
}

// descriptors opens until it may not.
func descriptors(*place) []string {
	var open []int
	defer func() {
		for _, fd := range open {
			_ = unix.Close(fd)
		}
	}()
	for range 5000 {
		fd, err := unix.Dup(1)
		if err != nil {
			return outcomes(err)
		}
		open = append(open, fd)
	}
	return outcomes(errors.New("5000 descriptors"))
}

// furtherProbes go beyond the numbers of the research: what Landlock does not judge, and
// what crosses a border only where there are no namespaces.
var furtherProbes = []probe{
	{125, "change mode, owner, attributes outside", "ENOENT", "EPERM", func(p *place) []string {
		path := p.Out + "/secret"
		return outcomes(unix.Chmod(path, 0o666), unix.Chown(path, os.Getuid(), os.Getgid()), unix.Setxattr(path, "user.x", []byte("x"), 0), unix.Removexattr(path, "user.x"))
	}},
	{126, "change times outside", "ENOENT", "EPERM", func(p *place) []string {
		return outcomes(unix.Utimes(p.Out+"/secret", make([]unix.Timeval, 2)), unix.UtimesNanoAt(unix.AT_FDCWD, p.Out+"/secret", make([]unix.Timespec, 2), 0))
	}},
	{127, "change mode by a descriptor that was never opened", "ENOENT|EPERM", "EPERM", func(p *place) []string {
		fd, err := unix.Open(p.Out+"/secret", unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return outcomes(err)
		}
		defer func() { _ = unix.Close(fd) }()
		return outcomes(unix.Fchmodat(fd, "", 0o666, unix.AT_EMPTY_PATH))
	}},
	{128, "cut a file outside", "ENOENT", "EACCES", func(p *place) []string { return outcomes(unix.Truncate(p.Out+"/secret", 0)) }},
	{129, "set the host's limits", "EPERM|ESRCH", "EPERM", func(p *place) []string {
		return outcomes(unix.Prlimit(p.Host, unix.RLIMIT_CORE, &unix.Rlimit{}, nil))
	}},
	{130, "slow the host down", "ESRCH|EPERM", "EPERM", func(p *place) []string {
		return outcomes(unix.Setpriority(unix.PRIO_PROCESS, p.Host, 0), raw(unix.SYS_SCHED_SETSCHEDULER, uintptr(p.Host), 0, pointer(&[1]int32{})))
	}},
	{131, "outlive the host", "EPERM", "", prctls([3]uintptr{unix.PR_SET_PDEATHSIG, 0}, [3]uintptr{unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM)})},
	{132, "give the host a child", "EPERM|EINVAL", "EPERM", func(*place) []string { return outcomes(fork(unix.CLONE_PARENT)) }},
	{133, "leave its own core cookie", "EPERM", "", prctls([3]uintptr{unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_SHARE_FROM, 1})},
	{134, "supervise itself", "EPERM", "", func(*place) []string {
		yes := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
		program := unix.SockFprog{Len: 1, Filter: &yes[0]}
		return outcomes(raw(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, pointer(&program)))
	}},
	{135, "see names and sizes outside (documented: possible without namespaces)", "ENOENT", "ok", func(p *place) []string {
		_, err := os.Stat(p.Out + "/secret")
		return outcomes(err)
	}},
	{136, "the 32-bit interface with a second thread", "signal: bad system call|none", "", func(*place) []string {
		if runtime.GOARCH != "amd64" {
			return said("none")
		}
		return child("int80threads")
	}},
}
