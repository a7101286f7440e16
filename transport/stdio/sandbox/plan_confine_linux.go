//go:build linux && (amd64 || arm64)

package sandbox

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/landlock"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/loopnet"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/seccomp"
	"golang.org/x/sys/unix"
)

// bound is one resource limit.
type bound struct {
	name     string // in /proc/PID/limits
	resource int
	value    uint64
}

// bounds are the limits of each process. Processes are counted for a user of a user
// namespace: without one the limit would be that of everything the host's user runs.
func (p *plan) bounds() []bound {
	l := p.limits
	list := []bound{
		{"Max core file size", unix.RLIMIT_CORE, 0},
		{"Max locked memory", unix.RLIMIT_MEMLOCK, 64 << 10},
		{"Max msgqueue size", unix.RLIMIT_MSGQUEUE, 0},
		{"Max nice priority", unix.RLIMIT_NICE, 0},
		{"Max realtime priority", unix.RLIMIT_RTPRIO, 0},
		{"Max open files", unix.RLIMIT_NOFILE, uint64(l.Files)},  //nolint:gosec // checked
		{"Max file size", unix.RLIMIT_FSIZE, uint64(l.FileSize)}, //nolint:gosec // checked
		{"Max data size", unix.RLIMIT_DATA, uint64(l.Memory)},    //nolint:gosec // checked
	}
	if p.has(UserNamespace) {
		list = append(list, bound{"Max processes", unix.RLIMIT_NPROC, uint64(l.Processes)}) //nolint:gosec // checked
	}
	if l.CPU > 0 {
		list = append(list, bound{"Max cpu time", unix.RLIMIT_CPU, uint64((l.CPU + time.Second - 1) / time.Second)})
	}
	return list
}

func (p *plan) rlimits() {
	if !p.has(Rlimits) {
		return
	}
	p.Section(string(Rlimits))
	for _, b := range p.bounds() {
		limit := unix.Rlimit{Cur: b.value, Max: b.value}
		p.Do(b.name, program.Prlimit, program.Number(0), program.Number(b.resource), program.At(memory(strconv.FormatUint(b.value, 10), &limit)), program.Number(0))
	}
}

// securebits say for good that user 0 is nobody special and that no capability is kept
// or raised.
const securebits = 0xef

// privileges gives up all of them. Each step needs one that a later step takes away.
func (p *plan) privileges() {
	p.Section(string(Capabilities))
	if p.has(Capabilities) && (p.host.root() || p.has(UserNamespace)) {
		for c := range p.host.lastCap + 1 {
			p.Do("bounding set", program.Prctl, program.Number(unix.PR_CAPBSET_DROP), program.Number(c), program.Number(0), program.Number(0), program.Number(0))
		}
		p.Do("securebits", program.Prctl, program.Number(unix.PR_SET_SECUREBITS), program.Number(securebits), program.Number(0), program.Number(0), program.Number(0))
	}
	if p.host.root() && !p.has(UserNamespace) {
		p.Section("") // never left out
		user := program.Number(p.host.user)
		p.Do("groups", program.Setgroups, program.Number(0), program.Number(0))
		p.Do("gid", program.Setresgid, user, user, user)
		p.Do("uid", program.Setresuid, user, user, user)
		p.Section(string(Capabilities))
	}
	if p.has(Capabilities) {
		p.Do("ambient", program.Prctl, program.Number(unix.PR_CAP_AMBIENT), program.Number(unix.PR_CAP_AMBIENT_CLEAR_ALL), program.Number(0), program.Number(0), program.Number(0))
		p.Do("none", program.Capset, program.At(memory("v3", &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3})), program.At(memory("none", &[2]unix.CapUserData{})))
	}
	// A change of user or capabilities would undo this.
	p.Section(string(Tree))
	p.Do("end with the host", program.Prctl, program.Number(unix.PR_SET_PDEATHSIG), program.Number(int(unix.SIGKILL)), program.Number(0), program.Number(0), program.Number(0))
	if p.has(NoNewPrivs) {
		p.Section(string(NoNewPrivs))
		p.Do("no new privileges", program.Prctl, program.Number(unix.PR_SET_NO_NEW_PRIVS), program.Number(1), program.Number(0), program.Number(0), program.Number(0))
	}
	p.speculation()
}

// speculation asks for what the processor and kernel have against leaks between
// processes that share a core.
func (p *plan) speculation() {
	p.Section(string(Speculation))
	p.specStore = p.Do("store bypass", program.Prctl, program.Number(unix.PR_SET_SPECULATION_CTRL), program.Number(unix.PR_SPEC_STORE_BYPASS), program.Number(unix.PR_SPEC_FORCE_DISABLE), program.Number(0), program.Number(0)).Try()
	p.specJump = p.Do("indirect branch", program.Prctl, program.Number(unix.PR_SET_SPECULATION_CTRL), program.Number(unix.PR_SPEC_INDIRECT_BRANCH), program.Number(unix.PR_SPEC_FORCE_DISABLE), program.Number(0), program.Number(0)).Try()
	p.Section(string(CoreScheduling))
	p.coreSched = p.Do("core scheduling", program.Prctl, program.Number(unix.PR_SCHED_CORE), program.Number(unix.PR_SCHED_CORE_CREATE), program.Number(0), program.Number(0), program.Number(0)).Try()
}

// landlock restricts the process, and proves it: the root was granted to nobody.
func (p *plan) landlock() error {
	if err := p.rules(); err != nil {
		return err
	}
	p.Section(string(LandlockFiles))
	attr := p.ruleset.Attr()
	set := p.Do("ruleset", program.LandlockNew, program.At(memory(fmt.Sprintf("files %#x, net %#x, scope %#x", p.ruleset.Files, p.ruleset.Net, p.ruleset.Scope), &attr)),
		program.Number(p.ruleset.AttrSize()), program.Number(0))
	for _, r := range p.ruleset.Rules {
		rule := memory("0x"+strconv.FormatUint(r.Access, 16), &unix.LandlockPathBeneathAttr{Allowed_access: r.Access})
		at := p.lookAt(r.Path).Into(rule, int(unsafe.Offsetof(unix.LandlockPathBeneathAttr{}.Parent_fd)))
		p.Do("allow "+r.Path, program.LandlockAdd, program.Result(set), program.Number(unix.LANDLOCK_RULE_PATH_BENEATH), program.At(rule), program.Number(0))
		p.Do("close", program.Close, program.Result(at))
	}
	for _, side := range []struct {
		name   string
		access uint64
		ports  []uint16
	}{{"connect", unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, p.ruleset.Connect}, {"bind", unix.LANDLOCK_ACCESS_NET_BIND_TCP, p.ruleset.Bind}} {
		for _, port := range side.ports {
			rule := memory(fmt.Sprint(port), &landlock.PortAttr{Access: side.access, Port: uint64(port)})
			p.Do("allow "+side.name, program.LandlockAdd, program.Result(set), program.Number(landlock.RuleNetPort), program.At(rule), program.Number(0))
		}
	}
	p.Do("restrict", program.LandlockSelf, program.Result(set), program.Number(0))
	p.Do("close ruleset", program.Close, program.Result(set))
	p.Do("the root is closed", program.Openat, program.Number(unix.AT_FDCWD), program.Text("/"), program.Number(unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC), program.Number(0)).
		Expect(-int64(unix.EACCES))
	if p.has(LandlockNet) {
		p.provePorts()
	}
	return nil
}

// provePorts tries to bind a port that no rule allows.
func (p *plan) provePorts() {
	p.Section(string(LandlockNet))
	port := uint16(1<<16 - 1)
	for slices.Contains(p.ruleset.Bind, port) {
		port--
	}
	s := p.Do("socket", program.Socket, program.Number(unix.AF_INET), program.Number(unix.SOCK_STREAM|unix.SOCK_CLOEXEC), program.Number(0))
	at := netip.AddrPortFrom(loopnet.Proxy.Addr(), port)
	address := socketAddress(at)
	p.Do("other ports are closed", program.Bind, program.Result(s), program.At(memory(at.String(), &address)), program.Number(unsafe.Sizeof(address))).
		Expect(-int64(unix.EACCES))
	p.Do("close socket", program.Close, program.Result(s))
}

// rules are what the view grants, and what the sandbox adds of its own.
func (p *plan) rules() error {
	listen := p.command.Profile.Listen
	connect := append([]uint16{}, listen...)
	if len(p.ports) > 0 {
		connect = append(append(connect, loopnet.Proxy.Port()), p.ports...)
	}
	s, err := landlock.Compile(nil, nil, nil, connect, listen, p.has(LandlockNet), p.has(LandlockScope), p.host.abi)
	if err != nil {
		return err
	}
	for _, e := range p.view.entries {
		s.AllowKind(e.target, [...]uint64{mayRead: landlock.Read, mayExec: landlock.Exec, mayWrite: landlock.Write}[e.access], e.dir)
	}
	for _, d := range devices {
		s.AllowKind(d, landlock.Device, false)
	}
	if p.has(MountNamespace) {
		for _, dir := range []string{"/tmp", "/dev/shm"} {
			s.AllowKind(dir, landlock.Write, true)
		}
		s.AllowKind("/etc", landlock.Read, true)
		if p.has(Proc) {
			s.AllowKind("/proc", landlock.Read, true)
		}
	}
	p.ruleset = s
	return nil
}

// signals undoes what the host did to signals: what it ignores must not be ignored by
// the program. Nothing of the host's handles a signal in the child: all are blocked.
func (p *plan) signals() {
	p.Section("")
	action := program.Memory("default", make([]byte, 32))
	for n := 1; n <= 64; n++ {
		if n != int(unix.SIGKILL) && n != int(unix.SIGSTOP) {
			p.Do("default signal", program.Sigaction, program.Number(n), program.At(action), program.Number(0), program.Number(8))
		}
	}
	p.Do("unblock signals", program.Sigprocmask, program.Number(unix.SIG_SETMASK), program.At(program.Memory("none", make([]byte, 8))), program.Number(0), program.Number(8))
}

// seccomp puts the filter in force. If connect calls go to a supervisor, the host gets
// the descriptor on which they arrive.
func (p *plan) seccomp() error {
	profile := p.command.Profile
	options := seccomp.Options{
		Arch: p.host.arch, NoFileless: profile.NoFileless, Unix: profile.Unix, Allow: profile.Syscalls,
		Inet: len(profile.Egress)+len(profile.Listen) > 0,
	}
	if p.has(NetNamespace) {
		options.Datagram = options.Inet
	} else {
		options.Notify = p.notify()
		options.Inet = options.Notify
		options.NoListen = len(profile.Listen) == 0
	}
	if !p.all(MountNamespace, PIDNamespace, IPCNamespace) {
		options.Shared = true
		options.ReadOnly = !slices.ContainsFunc(p.view.entries, func(e entry) bool { return e.access == mayWrite })
	}
	filter, err := filterFor(options)
	if err != nil {
		return err
	}
	p.filter = filter
	if !options.Notify {
		p.Section(string(Seccomp))
		p.install(filter.digest, filter.Code, 0)
		return nil
	}
	p.Section(string(Egress))
	o := p.install(filter.digest, filter.Code, p.host.listener)
	p.send("listener", fdControl, []*program.Op{o})
	p.Do("close listener", program.Close, program.Result(o))
	return nil
}

// notify reports whether connect calls go to the host.
func (p *plan) notify() bool {
	return len(p.command.Profile.Egress) > 0 && !p.has(NetNamespace) && p.all(Seccomp, Egress)
}
