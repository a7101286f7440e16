//go:build linux && (amd64 || arm64)

package sandbox

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/landlock"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
	"golang.org/x/sys/unix"
)

// namespaces are the controls that are flags of a clone.
var namespaces = []struct {
	control Control
	flag    uintptr
	file    string // below /proc/PID/ns
}{
	{UserNamespace, unix.CLONE_NEWUSER, "user"},
	{MountNamespace, unix.CLONE_NEWNS, "mnt"},
	{PIDNamespace, unix.CLONE_NEWPID, "pid"},
	{IPCNamespace, unix.CLONE_NEWIPC, "ipc"},
	{UTSNamespace, unix.CLONE_NEWUTS, "uts"},
	{NetNamespace, unix.CLONE_NEWNET, "net"},
	{CgroupNamespace, unix.CLONE_NEWCGROUP, "cgroup"},
}

// insideID is the user and group that the process has in its user namespace.
const insideID = 1000

// fds are the host's descriptors that a plan refers to.
type fds struct {
	stdin, stdout, stderr int
	program               int // -1: by path
	child                 int // its end of the socket to the host
	host                  int // the other end; -1 if there is none yet
}

// The child's descriptors from the moment all others are closed.
const (
	fdControl = 3 + iota
	fdProgram
	fdFirstFree
)

// A plan is a command compiled for a host: the program for the child, and what the host
// has to know of it.
type plan struct {
	*program.Program

	command *Command
	host    host
	view    *view
	limits  Limits
	without map[Control]error // what this plan leaves out, and why

	flags     uintptr
	trees     []tree
	sockets   []*program.Op  // listeners in the network namespace, in the order of ports
	ports     []uint16       // of the transparent ones
	routed    *program.Block // the kernel's answer to the route
	filter    *filter
	ruleset   landlock.Ruleset
	specStore *program.Op
	specJump  *program.Op
	coreSched *program.Op
	oneByte   *program.Block
	noLinks   *program.Block // how paths are opened
}

// newPlan compiles a command for a host, leaving out what cannot be had.
func newPlan(c *Command, v *view, h host, d fds, without map[Control]error) (*plan, error) {
	p, err := beginPlan(c, v, h, d, without)
	if err != nil {
		return nil, err
	}
	if err := p.complete(d); err != nil {
		return nil, err
	}
	return p, nil
}

// beginPlan compiles what the child can do at once. It waits then, and the rest is
// compiled while the kernel sets it up.
func beginPlan(c *Command, v *view, h host, d fds, without map[Control]error) (*plan, error) {
	p := &plan{
		Program: &program.Program{}, command: c, host: h, view: v, without: without,
		limits: c.Profile.Limits.withDefaults(), oneByte: program.Memory("byte", []byte{1}),
		noLinks: memory("no links", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}),
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	p.inject()
	p.meet(d)
	return p, nil
}

// complete compiles the rest.
func (p *plan) complete(d fds) error {
	if p.has(CgroupNamespace) {
		// Its root is the group that the host has put the process in by now.
		p.Section(string(CgroupNamespace))
		p.Do("cgroup namespace", program.Unshare, program.Number(unix.CLONE_NEWCGROUP))
	}
	if p.has(MountNamespace) {
		p.openSources()
	}
	if p.has(UserNamespace) {
		p.enterUser()
	}
	if p.has(MountNamespace) {
		p.privateRoot()
	}
	if p.has(NetNamespace) {
		if err := p.network(d); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	p.session()
	p.descriptors(d)
	p.rlimits()
	p.say("settled")
	p.privileges()
	if p.has(LandlockFiles) {
		if err := p.landlock(); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	p.signals()
	if p.has(Seccomp) {
		if err := p.seccomp(); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	p.execute()
	return nil
}

// has reports whether the plan puts a control in force.
func (p *plan) has(c Control) bool {
	return p.without[c] == nil
}

// needs is for controls that are in force only with others.
func (p *plan) all(controls ...Control) bool {
	return !slices.ContainsFunc(controls, func(c Control) bool { return !p.has(c) })
}

// check refuses what the controls that are left cannot do.
func (p *plan) check() error {
	if !p.has(MountNamespace) {
		if err := p.view.plain(); err != nil {
			return err
		}
		for _, e := range p.view.entries {
			if e.source != e.target {
				return fmt.Errorf("mount %s at %s: needs a mount namespace: %w", e.source, e.target, p.without[MountNamespace])
			}
		}
	}
	if p.command.Profile.Unix && !p.all(MountNamespace, NetNamespace) {
		return fmt.Errorf("profile: unix: without namespaces these sockets reach the host's services: leave it out")
	}
	return nil
}

// inject refuses calls as the host of a test would.
func (p *plan) inject() {
	if len(p.host.faults) == 0 {
		return
	}
	p.Section("")
	p.Do("test", program.Prctl, program.Number(unix.PR_SET_NO_NEW_PRIVS), program.Number(1), program.Number(0), program.Number(0), program.Number(0))
	p.install("test", faultFilter(p.host.faults), 0)
}

// install puts a filter in force.
func (p *plan) install(step string, code []unix.SockFilter, flags int) *program.Op {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&code[0])), len(code)*int(unsafe.Sizeof(code[0]))) //nolint:gosec // the kernel's struct, as bytes
	fprog := unix.SockFprog{Len: uint16(len(code))}                                                 //nolint:gosec // at most 4096
	block := memory(step, &fprog).Point(int(unsafe.Offsetof(fprog.Filter)), program.Memory(step, bytes))
	return p.Do(step, program.Seccomp, program.Number(unix.SECCOMP_SET_MODE_FILTER), program.Number(flags), program.At(block))
}

// meet lets go of what belongs to the host, and waits until the host has done what comes
// before the child changes itself: map its user, put it in a cgroup, compile the rest.
func (p *plan) meet(d fds) {
	if p.has(Descriptors) {
		p.letGo(d)
	}
	p.Section("")
	if !p.has(Descriptors) && d.host >= 0 {
		// With it the child would wait for itself, and not notice that the host is gone.
		p.Do("close the host's end", program.Close, program.Number(d.host))
	}
	p.await("wait for the host", d.child)
	for _, ns := range namespaces {
		if p.has(ns.control) && ns.control != CgroupNamespace {
			p.flags |= ns.flag
		}
	}
}

// letGo closes whatever else the host has open, at once: a file that is written in the
// host must not stay busy because of a child, nor a pipe open.
func (p *plan) letGo(d fds) {
	p.Section(string(Descriptors))
	kept := []int{d.stdin, d.stdout, d.stderr, d.program, d.child}
	slices.Sort(kept)
	next := 0
	for _, fd := range slices.Compact(kept) {
		if fd > next {
			p.Do("close the host's", program.CloseRange, program.Number(next), program.Number(fd-1), program.Number(0))
		}
		next = max(next, fd+1)
	}
	p.Do("close the host's", program.CloseRange, program.Number(next), program.Number(uint32(1<<32-1)), program.Number(0))
}

// say tells the host how far the child has come.
func (p *plan) say(step string) {
	p.Section("")
	p.Do(step, program.Write, program.Number(fdControl), program.At(p.oneByte), program.Number(1)).Expect(1)
}

// await lets the child go on when the host says so, and end when the host is gone.
func (p *plan) await(step string, fd int) {
	p.Do(step, program.Read, program.Number(fd), program.At(program.Memory("byte", make([]byte, 1))), program.Number(1)).Expect(1)
}

// enterUser takes the user of the new namespace. The host's own user stays behind where
// the two differ, with its groups.
func (p *plan) enterUser() {
	p.Section(string(UserNamespace))
	if p.host.root() {
		p.Do("groups", program.Setgroups, program.Number(0), program.Number(0))
	}
	p.Do("gid", program.Setresgid, program.Number(insideID), program.Number(insideID), program.Number(insideID))
	p.Do("uid", program.Setresuid, program.Number(insideID), program.Number(insideID), program.Number(insideID))
}

// session makes the process the first of a session of its own, without a terminal.
func (p *plan) session() {
	p.Section(string(Tree))
	p.Do("session", program.Setsid)
	p.Section("")
	p.Do("directory "+p.directory(), program.Chdir, program.Text(p.directory()))
}

func (p *plan) directory() string {
	switch {
	case p.command.Profile.Dir != "":
		return p.command.Profile.Dir
	case p.has(MountNamespace):
		return "/tmp"
	}
	return "/"
}

// descriptors leaves the child its three pipes, the socket to the host and the program,
// and closes all others.
func (p *plan) descriptors(d fds) {
	p.Section(string(Descriptors))
	above := program.Number(fdFirstFree + 5)
	var moved []*program.Op
	for _, s := range []struct {
		name string
		fd   int
	}{{"stdin", d.stdin}, {"stdout", d.stdout}, {"stderr", d.stderr}, {"control", d.child}, {"program", d.program}} {
		if s.fd >= 0 {
			moved = append(moved, p.Do("move "+s.name, program.Fcntl, program.Number(s.fd), program.Number(unix.F_DUPFD_CLOEXEC), above))
		}
	}
	for i, from := range moved {
		flags := 0
		if i >= fdControl {
			flags = unix.O_CLOEXEC
		}
		p.Do("place", program.Dup3, program.Result(from), program.Number(i), program.Number(flags))
	}
	if !p.has(Descriptors) {
		return
	}
	p.Do("close all others", program.CloseRange, program.Number(len(moved)), program.Number(uint32(1<<32-1)), program.Number(0))
}

// execute tells the host that the child is ready to be looked at, and becomes the program
// when the host agrees.
func (p *plan) execute() {
	p.say("ready")
	p.await("wait for the report", fdControl)
	args := program.At(program.Strings(p.command.Args, false))
	env := program.At(program.Strings(p.command.Env, true))
	switch {
	case p.host.probe:
		p.Do("end", program.ExitGroup, program.Number(0))
	case p.command.Program != nil:
		p.Do("execve", program.Execveat, program.Number(fdProgram), program.Text(""), args, env, program.Number(unix.AT_EMPTY_PATH))
	default:
		p.Do("execve", program.Execve, program.Text(p.command.Path), args, env)
	}
}
