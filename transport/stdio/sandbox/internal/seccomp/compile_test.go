//go:build linux

package seccomp

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	family   = errno(unix.EAFNOSUPPORT)
	protocol = errno(unix.EPROTONOSUPPORT)
)

const high = 1 << 40 // ignored by the kernel where an argument has 32 bits

func a(args ...uint64) (all [6]uint64) { copy(all[:], args); return all }

// TestVerdicts: what each rule answers, on both architectures.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	none, inet, all := Options{}, Options{Inet: true}, Options{Inet: true, Datagram: true, Unix: true}
	host := Options{Shared: true}
	for _, c := range []struct {
		attack  string
		options Options
		name    string
		args    [6]uint64
		want    uint32
	}{
		{"an ordinary call", none, "read", a(), allow},
		{"a file", none, "openat", a(), allow},
		{"mount", none, "mount", a(), refuse},
		{"kernel code", none, "bpf", a(), refuse},
		{"another process's memory", none, "process_vm_writev", a(), refuse},
		{"clone3 hides its flags", none, "clone3", a(), unknown},
		{"io_uring goes past filters", none, "io_uring_setup", a(), unknown},
		{"io_uring goes past filters", none, "io_uring_enter", a(), unknown},
		{"a thread", none, "clone", a(unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_SIGHAND | unix.CLONE_SETTLS), allow},
		{"a child", none, "clone", a(uint64(unix.SIGCHLD)), allow},
		{"user namespace", none, "clone", a(unix.CLONE_NEWUSER), refuse},
		{"user namespace, upper half set", none, "clone", a(unix.CLONE_NEWUSER | high), refuse},
		{"mount namespace", none, "clone", a(unix.CLONE_NEWNS | uint64(unix.SIGCHLD)), refuse},
		{"cgroup namespace", none, "clone", a(unix.CLONE_NEWCGROUP), refuse},
		{"net namespace", none, "clone", a(unix.CLONE_NEWNET), refuse},
		{"pid namespace", none, "clone", a(unix.CLONE_NEWPID), refuse},
		{"ipc namespace", none, "clone", a(unix.CLONE_NEWIPC), refuse},
		{"uts namespace", none, "clone", a(unix.CLONE_NEWUTS), refuse},
		{"a child of the host", none, "clone", a(unix.CLONE_PARENT), refuse},

		{"TCP without egress", none, "socket", a(unix.AF_INET, unix.SOCK_STREAM, 0), refuse},
		{"TCP over IPv6 without egress", none, "socket", a(unix.AF_INET6, unix.SOCK_STREAM, 0), refuse},
		{"TCP", inet, "socket", a(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0), allow},
		{"TCP by number", inet, "socket", a(unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP), allow},
		{"TCP, upper half set", inet, "socket", a(unix.AF_INET|high, unix.SOCK_STREAM|high, high), allow},
		{"MPTCP passes Landlock by", inet, "socket", a(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP), protocol},
		{"SCTP", inet, "socket", a(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP), protocol},
		{"SCTP, many to one", inet, "socket", a(unix.AF_INET, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP), refuse},
		{"UDP where it is not permitted", inet, "socket", a(unix.AF_INET, unix.SOCK_DGRAM, 0), refuse},
		{"UDP", all, "socket", a(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP), allow},
		{"UDP-Lite", all, "socket", a(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE), protocol},
		{"ping socket", all, "socket", a(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP), protocol},
		{"raw", all, "socket", a(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP), refuse},
		{"packets by the old name", all, "socket", a(unix.AF_INET, unix.SOCK_PACKET, 0), refuse},
		{"packets", all, "socket", a(unix.AF_PACKET, unix.SOCK_RAW, 0), family},
		{"a virtual machine's host", all, "socket", a(unix.AF_VSOCK, unix.SOCK_STREAM, 0), family},
		{"kernel crypto", all, "socket", a(unix.AF_ALG, unix.SOCK_SEQPACKET, 0), family},
		{"families below UNIX", all, "socket", a(unix.AF_UNSPEC, unix.SOCK_STREAM, 0), family},
		{"families that do not exist", all, "socket", a(0xffffffff, unix.SOCK_STREAM, 0), family},
		{"local", all, "socket", a(unix.AF_UNIX, unix.SOCK_STREAM, 0), allow},
		{"local where it is not permitted", inet, "socket", a(unix.AF_UNIX, unix.SOCK_STREAM, 0), refuse},
		{"a pair", none, "socketpair", a(unix.AF_UNIX, unix.SOCK_STREAM, 0), allow},
		{"a pair of datagrams, which leave it", none, "socketpair", a(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0), refuse},
		{"a raw pair, which is one of datagrams", none, "socketpair", a(unix.AF_UNIX, unix.SOCK_RAW, 0), refuse},
		{"listen", none, "listen", a(3, 1), allow},
		{"listen where ports are the host's", Options{NoListen: true}, "listen", a(3, 1), refuse},
		{"a pair of another family", none, "socketpair", a(unix.AF_TIPC, unix.SOCK_STREAM, 0), family},
		{"routes, to be read", none, "socket", a(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE), allow},
		{"firewall", all, "socket", a(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER), family},
		{"audit", all, "socket", a(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT), family},
		{"connect", inet, "connect", a(), allow},
		{"connect is supervised", Options{Inet: true, Notify: true}, "connect", a(), notify},
		{"send", inet, "sendto", a(3, 1, 1, unix.MSG_NOSIGNAL), allow},
		{"connecting by sendto", inet, "sendto", a(3, 1, 1, unix.MSG_FASTOPEN), refuse},
		{"connecting by sendto, other flags too", inet, "sendto", a(3, 1, 1, unix.MSG_FASTOPEN|unix.MSG_NOSIGNAL|high), refuse},
		{"connecting by sendmsg", inet, "sendmsg", a(3, 1, unix.MSG_FASTOPEN), refuse},
		{"the flags of sendmsg are the third", inet, "sendmsg", a(3, 1, 0, unix.MSG_FASTOPEN), allow},
		{"connecting by sendmmsg", inet, "sendmmsg", a(3, 1, 1, unix.MSG_FASTOPEN), refuse},

		{"terminal input", none, "ioctl", a(0, unix.TIOCSTI), refuse},
		{"terminal input, upper half set", none, "ioctl", a(0, unix.TIOCSTI|high), refuse},
		{"console", none, "ioctl", a(0, 0x541c), refuse},
		{"console redirection", none, "ioctl", a(0, unix.TIOCCONS), refuse},
		{"line discipline", none, "ioctl", a(0, unix.TIOCSETD), refuse},
		{"terminal size", none, "ioctl", a(0, unix.TIOCGWINSZ), allow},
		{"memory map", none, "prctl", a(unix.PR_SET_MM), refuse},
		{"secure bits", none, "prctl", a(unix.PR_SET_SECUREBITS), refuse},
		{"the host's core cookie", none, "prctl", a(unix.PR_SCHED_CORE), refuse},
		{"outliving the host", none, "prctl", a(unix.PR_SET_PDEATHSIG, 0), refuse},
		{"outliving the host, politely", none, "prctl", a(unix.PR_SET_PDEATHSIG, uint64(unix.SIGTERM)), refuse},
		{"dying with the parent", none, "prctl", a(unix.PR_SET_PDEATHSIG, uint64(unix.SIGKILL)), allow},
		{"a name", none, "prctl", a(unix.PR_SET_NAME), allow},
		{"narrowing itself", none, "seccomp", a(unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC), allow},
		{"a supervisor of its own", none, "seccomp", a(unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER), refuse},
		{"speculation again", none, "seccomp", a(unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW), refuse},
		{"a pipe with a name", none, "mknodat", a(0, 0, unix.S_IFIFO|0o600), allow},
		{"a device", none, "mknodat", a(0, 0, unix.S_IFCHR|0o600, 1), refuse},
		{"a disk", none, "mknodat", a(0, 0, unix.S_IFBLK|0o600, 1), refuse},
		{"own limits", none, "prlimit64", a(0, unix.RLIMIT_NOFILE, 0x7f0000001000), allow},
		{"another's limits, to be read", none, "prlimit64", a(77, unix.RLIMIT_NOFILE, 0, 1), allow},
		{"another's limits", none, "prlimit64", a(77, unix.RLIMIT_NOFILE, 0x7f0000001000), refuse},
		{"another's limits, pointer with zero lower half", none, "prlimit64", a(77, unix.RLIMIT_NOFILE, 0x7f00000000), refuse},
		{"memory as a file", none, "memfd_create", a(0, 0), allow},
		{"fileless", Options{NoFileless: true}, "memfd_create", a(0, unix.MFD_CLOEXEC), refuse},
		{"fileless", Options{NoFileless: true}, "memfd_create", a(0, unix.MFD_EXEC), refuse},
		{"memory that cannot run", Options{NoFileless: true}, "memfd_create", a(0, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL), allow},
		{"fileless", Options{NoFileless: true}, "execveat", a(5, 0, 0, 0, unix.AT_EMPTY_PATH), refuse},
		{"execveat by path", Options{NoFileless: true}, "execveat", a(5, 0, 0, 0, unix.AT_SYMLINK_NOFOLLOW), allow},
		{"execute", none, "execve", a(), allow},
		{"execute", Options{NoExec: true}, "execve", a(), refuse},
		{"execute", Options{NoExec: true}, "execveat", a(), refuse},

		{"shared memory inside", none, "shmget", a(), allow},
		{"shared memory of the host", host, "shmget", a(), refuse},
		{"queues of the host", host, "mq_open", a(), refuse},
		{"mode of any file", host, "fchmodat", a(), refuse},
		{"mode of an open file", host, "fchmod", a(), allow},
		{"mode of an open file, read only", Options{Shared: true, ReadOnly: true}, "fchmod", a(), refuse},
		{"times of any file", host, "utimensat", a(0, 0x7f0000001000), refuse},
		{"times of any file, pointer with zero lower half", host, "utimensat", a(0, 0x7f00000000), refuse},
		{"times of an open file", host, "utimensat", a(5, 0), allow},
		{"times of an open file, read only", Options{Shared: true, ReadOnly: true}, "utimensat", a(5, 0), refuse},
		{"attributes of any file", host, "setxattr", a(), refuse},
		{"mode inside", none, "fchmodat", a(), allow},
		{"scheduling of the host", host, "sched_setaffinity", a(1), refuse},
		{"its own scheduling", host, "sched_setaffinity", a(0), allow},
		{"scheduling inside", none, "sched_setaffinity", a(1), allow},
		{"the host made nice", host, "setpriority", a(unix.PRIO_PROCESS, 1, 19), refuse},
		{"everybody made nice", host, "setpriority", a(unix.PRIO_USER, 0, 19), refuse},
		{"itself made nice", host, "setpriority", a(unix.PRIO_PROCESS, 0, 19), allow},
		{"the host's disk priority", host, "ioprio_set", a(1, 1, 0), refuse},
		{"its group's disk priority", host, "ioprio_set", a(2, 0, 0), refuse},

		{"a call by name", Options{Allow: []string{"personality"}}, "personality", a(), allow},
		{"not without its name", none, "personality", a(), refuse},
		{"learning", Options{Log: true}, "personality", a(), record},
		{"learning does not mount", Options{Log: true}, "mount", a(), refuse},
		{"learning keeps rules", Options{Log: true}, "clone", a(unix.CLONE_NEWUSER), refuse},
	} {
		for arch, audit := range audits {
			o := c.options
			o.Arch = arch
			nr := Number(arch, c.name)
			if nr < 0 {
				t.Errorf("%s: %s has no number on %s", c.attack, c.name, arch)
				continue
			}
			if got := run(t, compile(t, o), call{audit, uint32(nr), c.args}); got != c.want {
				t.Errorf("%s: %s %s%x answers %#x, want %#x", c.attack, arch, c.name, c.args, got, c.want)
			}
		}
	}
}

// TestEveryNumber: the tree finds for every number what the list says, and nothing else
// than ENOSYS for numbers beyond it, x32 and negative ones included.
func TestEveryNumber(t *testing.T) {
	t.Parallel()
	for arch, audit := range audits {
		o := Options{Arch: arch}
		f := compile(t, o)
		names := architectures[arch].names
		rules := o.rules()
		for nr := range len(names) + 200 {
			want, name := unknown, ""
			if nr < len(names) {
				name = names[nr]
			}
			switch {
			case name == "", slices.Contains(absent, name):
			case rules[name] != nil:
				continue
			case slices.Contains(allowed, name), slices.Contains(shared, name):
				want = allow
			default:
				want = refuse
			}
			if got := run(t, f, call{audit: audit, number: uint32(nr)}); got != want {
				t.Errorf("%s %d %s: %#x, want %#x", arch, nr, name, got, want)
			}
		}
		for _, nr := range []uint32{0x40000000, 0x40000000 + 59, 0x4000020f, 1999, 0x7fffffff, 0x80000000, 0xffffffff} {
			if got := run(t, f, call{audit: audit, number: nr}); got != unknown {
				t.Errorf("%s %#x: %#x", arch, nr, got)
			}
		}
	}
}

// TestForeignArchitecture: a call through another interface ends the process.
func TestForeignArchitecture(t *testing.T) {
	t.Parallel()
	for arch, own := range audits {
		f := compile(t, Options{Arch: arch})
		for _, audit := range []uint32{unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_RISCV64, 0} {
			if audit == own {
				continue
			}
			if got := run(t, f, call{audit: audit, number: 20}); got != kill {
				t.Errorf("%s called as %#x: %#x", arch, audit, got)
			}
		}
	}
}

func TestRefusedOptions(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"no table":            {Arch: "riscv64"},
		"cannot see":          {Arch: "amd64", Notify: true, Inet: true, Datagram: true},
		"no system call":      {Arch: "amd64", Allow: []string{"opensesame"}},
		"is named \"\"":       {Arch: "amd64", Allow: []string{""}},
		"mount would break":   {Arch: "amd64", Allow: []string{"mount"}},
		"ptrace would break":  {Arch: "arm64", Allow: []string{"ptrace"}},
		"bpf would break":     {Arch: "amd64", Allow: []string{"bpf"}},
		"clone3 would break":  {Arch: "amd64", Allow: []string{"clone3"}},
		"by its arguments":    {Arch: "amd64", Allow: []string{"socket"}},
		"execve is allowed":   {Arch: "amd64", NoExec: true, Allow: []string{"execve"}},
		"belongs to the host": {Arch: "amd64", Shared: true, Allow: []string{"shmget"}},
	} {
		if _, err := Compile(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

// TestList: every name exists on an architecture, and none is on two lists that
// contradict each other.
func TestList(t *testing.T) {
	t.Parallel()
	lists := slices.Concat(allowed, shared, byPath, byDescriptor, absent, breaking)
	for name := range (Options{}).rules() {
		lists = append(lists, name)
		if slices.Contains(breaking, name) {
			t.Errorf("%s has a rule and breaks the sandbox", name)
		}
	}
	for _, name := range lists {
		if Number("amd64", name) < 0 && Number("arm64", name) < 0 {
			t.Errorf("%s is no system call", name)
		}
	}
	for _, name := range slices.Concat(allowed, shared) {
		if slices.Contains(breaking, name) || slices.Contains(absent, name) {
			t.Errorf("%s is allowed and breaks the sandbox", name)
		}
	}
}

// TestGolden: the filter is what it was; whoever changes the list says so here, and in
// the changelog, since reports name the digest.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		options Options
		size    int
		digest  string
	}{
		{Options{Arch: "amd64", Inet: true, Datagram: true, Unix: true}, 150, "sha256:619b07897c0b61208f7c93e0392d5ebd26afbf24dd551636f9414c958e09db8d"},
		{Options{Arch: "arm64", Inet: true, Datagram: true, Unix: true}, 149, "sha256:7904ede453d0ca5056047f88b8a57fb5a2d797f52e144e0a0dacc8c472b259da"},
		{Options{Arch: "amd64", Shared: true}, 187, "sha256:dc484e9ade3c4b238f12fb1ac6072d3c1bc034cfb32e167065818d6f33c8c985"},
		{Options{Arch: "arm64", Shared: true}, 173, "sha256:754c011bc72616b01f24e6db2fb2168e942a96648c035f16e3264b923bb42315"},
	} {
		f := compile(t, c.options)
		if again := compile(t, c.options); again.Digest() != f.Digest() {
			t.Errorf("%+v: not the same twice", c.options)
		}
		if len(f.Code) != c.size || f.Digest() != c.digest {
			t.Errorf("%+v: %d instructions, %s", c.options, len(f.Code), f.Digest())
		}
	}
}

// TestFresh: the tables of numbers are those of golang.org/x/sys.
func TestFresh(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), "go", "run", "generate.go", "-check").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	for nr, want := range map[int]string{0: "read", 59: "execve", 435: "clone3", -1: "syscall_-1", 1999: "syscall_1999", 400: "syscall_400"} {
		if got := Name("amd64", nr); got != want {
			t.Errorf("%d: %s, want %s", nr, got, want)
		}
	}
	if got := Name("arm64", 221); got != "execve" {
		t.Errorf("arm64 221: %s", got)
	}
	if got := Name("none", 0); got != "syscall_0" {
		t.Errorf("no architecture: %s", got)
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile(Options{Arch: "amd64", Inet: true, Unix: true}); err != nil {
			b.Fatal(err)
		}
	}
}
