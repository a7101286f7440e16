//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// fork clones with flags; the child, if there is one, ends at once.
func fork(flags uintptr) error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		for {
			_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	_, err := unix.Wait4(int(pid), nil, 0, nil)
	if errors.Is(err, unix.ECHILD) { // with CLONE_PARENT it is another's
		err = nil
	}
	return err
}

func clone3() error {
	var args [11]uint64
	args[0], args[4] = unix.CLONE_NEWUSER, uint64(unix.SIGCHLD)
	pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, pointer(&args), 88, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		for {
			_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	_, err := unix.Wait4(int(pid), nil, 0, nil)
	return err
}

// calls makes each system call with zeros.
func calls(numbers ...uintptr) func(*place) []string {
	return func(*place) []string {
		var errs []error
		for _, nr := range numbers {
			errs = append(errs, raw(nr))
		}
		return outcomes(errs...)
	}
}

// prctls makes prctl calls with an option and two arguments each.
func prctls(calls ...[3]uintptr) func(*place) []string {
	return func(*place) []string {
		var errs []error
		for _, c := range calls {
			errs = append(errs, raw(unix.SYS_PRCTL, c[0], c[1], c[2]))
		}
		return outcomes(errs...)
	}
}

var kernelProbes = []probe{
	{28, "mount and unmount", "EPERM", "", func(p *place) []string {
		return outcomes(unix.Mount("t", p.Work, "tmpfs", 0, ""), unix.Mount(p.Work, p.Work, "", unix.MS_BIND, ""),
			unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, ""), unix.Unmount("/proc", unix.MNT_DETACH))
	}},
	{29, "change the root", "EPERM", "", func(p *place) []string { return outcomes(unix.PivotRoot(p.Work, p.Work), unix.Chroot(p.Work)) }},
	{30, "the new calls for mounts", "EPERM", "", calls(unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK,
		unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR)},
	{31, "namespaces by clone", "EPERM", "", func(*place) []string {
		return outcomes(fork(unix.CLONE_NEWUSER), fork(unix.CLONE_NEWUSER|unix.CLONE_NEWNS), fork(unix.CLONE_NEWUSER|unix.CLONE_NEWNET),
			fork(unix.CLONE_NEWPID), fork(unix.CLONE_NEWIPC), fork(unix.CLONE_NEWUTS), fork(unix.CLONE_NEWCGROUP))
	}},
	{32, "namespaces by clone3", "ENOSYS", "", func(*place) []string { return outcomes(clone3()) }},
	{33, "namespaces by unshare and setns", "EPERM", "", func(*place) []string {
		return outcomes(unix.Unshare(unix.CLONE_NEWUSER), unix.Unshare(unix.CLONE_NEWNS), unix.Unshare(unix.CLONE_NEWNET), unix.Setns(0, 0))
	}},
	{34, "write one's own user map", "EPERM|EACCES|EROFS", "EACCES", func(*place) []string {
		return outcomes(write("/proc/self/uid_map"), write("/proc/self/setgroups"))
	}},
	{35, "privileges", "none", "none", func(p *place) []string { return privileges(p.Tier == "T3") }},
	{36, "become root", "EINVAL|EPERM", "EPERM", func(*place) []string {
		return outcomes(raw(unix.SYS_SETUID, 0), raw(unix.SYS_SETRESUID, 0, 0, 0), raw(unix.SYS_SETGROUPS, 1, pointer(new(uint32))), raise())
	}},
	{37, "memory map, secure bits, ambient capabilities", "EPERM", "", prctls(
		[3]uintptr{unix.PR_SET_MM, unix.PR_SET_MM_ARG_START, 0}, [3]uintptr{unix.PR_SET_SECUREBITS, 0}, [3]uintptr{unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_ADMIN})},
	{38, "switch off address randomisation", "EPERM", "", func(*place) []string { return outcomes(raw(unix.SYS_PERSONALITY, 0x40000)) }},
	{39, "the machine: name, clock, modules, reboot", "EPERM", "", calls(unix.SYS_SETHOSTNAME, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_REBOOT,
		unix.SYS_KEXEC_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_SWAPON, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG)},
	{40, "ports and segments", "EPERM", "", calls(segmentCalls...)},
	{41, "programs in the kernel", "EPERM", "", calls(unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_FANOTIFY_INIT)},
	{42, "io_uring", "ENOSYS", "", calls(unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER)},
	{43, "keys", "EPERM", "", calls(unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY)},
	{44, "trace", "EPERM", "", func(*place) []string {
		const seize = 0x4206
		// Where it succeeds the process stops at its next signal.
		return append(outcomes(raw(unix.SYS_PTRACE, seize, 1)), child("traceme")...)
	}},
	{45, "another process's memory and descriptors", "EPERM", "", calls(unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD,
		unix.SYS_KCMP, unix.SYS_PROCESS_MADVISE)},
	{46, "odd kinds of memory", "EPERM", "", calls(unix.SYS_VMSPLICE, unix.SYS_MEMFD_SECRET, unix.SYS_MBIND, unix.SYS_MOVE_PAGES)},
	{47, "the 32-bit interface", "signal: bad system call|none", "", func(*place) []string {
		if runtime.GOARCH != "amd64" {
			return said("none")
		}
		return child("int80")
	}},
	{48, "x32 and numbers that do not exist", "ENOSYS", "", func(*place) []string {
		return outcomes(raw(0x40000000+39), raw(1999), raw(0x40000000+1999))
	}},
	{49, "put words into a terminal", "EPERM", "", func(*place) []string {
		const tiocLinux = 0x541c
		return outcomes(raw(unix.SYS_IOCTL, 0, unix.TIOCSTI, pointer(new(byte))), raw(unix.SYS_IOCTL, 0, tiocLinux, pointer(new(byte))),
			raw(unix.SYS_IOCTL, 0, 1<<32|unix.TIOCSTI, pointer(new(byte))))
	}},
	{50, "loosen what confines it", "EPERM,EACCES|EPERM,ENOENT", "", loosen},
	{51, "execute memory (documented: possible)", "ENOEXEC", "", func(*place) []string {
		fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
		if err != nil {
			return outcomes(err)
		}
		defer func() { _ = unix.Close(fd) }()
		return outcomes(raw(unix.SYS_EXECVEAT, uintptr(fd), pointer(new(byte)), 0, 0, unix.AT_EMPTY_PATH))
	}},
}

func privileges(bounding bool) []string {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil { // hidden: ask
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var held [2]unix.CapUserData
		if err := unix.Capget(&header, &held[0]); err != nil {
			return outcomes(err)
		}
		if nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || nnp != 1 || held != [2]unix.CapUserData{} {
			return said("no_new_privs %d, %v", nnp, held)
		}
		return said("none")
	}
	sets := []string{"CapInh", "CapPrm", "CapEff", "CapAmb"}
	if bounding {
		sets = append(sets, "CapBnd")
	}
	for l := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(l), ":\t")
		if name == "NoNewPrivs" && value != "1" {
			return said("%s %s", name, value)
		}
		for _, set := range sets {
			if name == set && strings.Trim(value, "0") != "" {
				return said("%s %s", name, value)
			}
		}
	}
	return said("none")
}

// raise asks for a capability back.
func raise() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	want := [2]unix.CapUserData{{Effective: 1 << unix.CAP_SYS_ADMIN, Permitted: 1 << unix.CAP_SYS_ADMIN}}
	return unix.Capset(&header, &want[0])
}

// loosen puts an all-allowing filter and ruleset on top of a thread and tries again.
func loosen(p *place) []string {
	done := make(chan []string)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		yes := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
		program := unix.SockFprog{Len: 1, Filter: &yes[0]}
		_ = raw(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, pointer(&program))
		attr := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_READ_FILE}
		if fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, pointer(&attr), 8, 0); errno == 0 {
			if root, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
				rule := unix.LandlockPathBeneathAttr{Allowed_access: unix.LANDLOCK_ACCESS_FS_READ_FILE, Parent_fd: int32(root)} //nolint:gosec // a descriptor
				_ = raw(unix.SYS_LANDLOCK_ADD_RULE, fd, unix.LANDLOCK_RULE_PATH_BENEATH, pointer(&rule))
			}
			_ = raw(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0)
		}
		done <- said("%s,%s", outcomes(unix.Unshare(unix.CLONE_NEWUSER))[0], outcomes(read(p.Out + "/secret"))[0])
	}()
	return <-done
}

// children are what the program does when it starts itself.
var children = map[string]func(){
	"hello":    func() {},
	"traceme":  func() { fmt.Println(outcomes(raw(unix.SYS_PTRACE, unix.PTRACE_TRACEME))[0]) },
	"terminal": func() { fmt.Println(outcomes(raw(unix.SYS_IOCTL, 0, unix.TIOCSTI, pointer(new(byte))))[0]) },
	"fileless": fileless,
	"sealed":   sealed,
	"int80":    func() { fmt.Println(int80()) },
	"int80threads": func() {
		// A second thread that waits: it must not be left behind.
		go func() { runtime.LockOSThread(); _ = unix.Pause() }()
		runtime.Gosched()
		fmt.Println(int80())
	},
}

// sealed prints what comes of changing the program that runs.
func sealed() {
	const all = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	fd, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	_, mapped := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	fmt.Println(seals&all == all, err, outcomes(write("/proc/self/exe"))[0], outcomes(unix.Ftruncate(fd, 0))[0], outcomes(mapped)[0])
}

// fileless prints what comes of memory as a file, of executing it, and of mapping a
// written file as code.
func fileless() {
	_, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
	run := raw(unix.SYS_EXECVEAT, 0, pointer(new(byte)), 0, 0, unix.AT_EMPTY_PATH)
	fmt.Println(outcomes(err)[0], outcomes(run)[0], mapCode(&place{Work: os.Args[2]})[0])
}

// child starts itself and says what it printed, or how it ended.
func child(name string) []string {
	cmd := exec.Command(self(), name) //nolint:gosec,noctx // itself
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.Output()
	if err != nil {
		return said("%s", strings.TrimSuffix(err.Error(), " (core dumped)"))
	}
	return said("%s", strings.TrimSpace(string(out)))
}

// self is the program's own path: argv has it where /proc is hidden.
func self() string { return os.Args[0] }
