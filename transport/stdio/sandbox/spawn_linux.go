//go:build linux && (amd64 || arm64)

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/eintr"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/loopnet"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
	"golang.org/x/sys/unix"
)

// gate lets one launch through at a time: launches contend for the kernel's locks on
// mounts, and a host that is root is not dumpable while a child changes its user.
var gate = make(chan struct{}, 1)

// A launching is a start under way: all that has to be undone if it fails.
type launching struct {
	plan    *plan
	fds     fds
	run     *program.Run
	child   *os.Process
	socket  int // the host's end; -1 if there is none, as with the others
	group   *cgroup
	release func() // of the thread that cloned
	theirs  int    // the child's end
	null    int
	network Network
	// dumpable is what the host was: a child that changes its user makes the memory that
	// it shares with the host undumpable, so that nobody attaches to it meanwhile.
	dumpable int
}

// launch starts a command with one plan. The error is a [*lostError] if a control could
// not be put in force.
func launch(ctx context.Context, c *Command, v *view, h host, without map[Control]error) (*process, error) {
	select {
	case gate <- struct{}{}:
		defer func() { <-gate }()
	case <-ctx.Done():
		return nil, fmt.Errorf("sandbox: %w", ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	l := &launching{release: program.Hold(), socket: -1, theirs: -1, null: -1}
	if err := l.prepare(c, v, h, without); err != nil {
		l.undo()
		return nil, err
	}
	var report *Report
	var err error
	// All of it on one thread: to hand each message over would take longer than the rest.
	program.OnThread(func() {
		if err = l.clone(); err == nil {
			report, err = l.converse(ctx)
		}
	})
	if err != nil {
		l.undo()
		return nil, err
	}
	return l.process(report), nil
}

// prepare makes everything that the child needs.
func (l *launching) prepare(c *Command, v *view, h host, without map[Control]error) error {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("sandbox: socket to the child: %w", err)
	}
	l.socket, l.theirs = ends[0], ends[1]
	if c.Stdin == nil || c.Stdout == nil || c.Stderr == nil {
		if l.null, err = eintr.Open(os.DevNull, unix.O_RDWR); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	number := func(f *os.File) int {
		if f == nil {
			return l.null
		}
		return int(f.Fd())
	}
	l.fds = fds{stdin: number(c.Stdin), stdout: number(c.Stdout), stderr: number(c.Stderr), program: -1, child: l.theirs, host: l.socket}
	if c.Program != nil {
		l.fds.program = number(c.Program)
	}
	if l.plan, err = beginPlan(c, v, h, l.fds, without); err != nil {
		return err
	}
	if l.dumpable, err = unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("sandbox: PR_GET_DUMPABLE: %w", err)
	}
	return nil
}

// clone starts the child.
func (l *launching) clone() error {
	run, err := l.plan.host.start(l.plan.Program, l.plan.flags)
	l.run = run
	l.theirs = shut(l.theirs)
	if err != nil {
		return cloneError(l.plan, err)
	}
	// The child is not reaped before this is used, so that the number is still its own.
	if l.child, err = os.FindProcess(l.run.PID); err != nil { // never on Linux
		_ = syscall.Kill(l.run.PID, syscall.SIGKILL)
		_, _ = syscall.Wait4(l.run.PID, nil, 0, nil)
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// start clones a child.
func (h *host) start(p *program.Program, flags uintptr) (*program.Run, error) {
	if h.clone != nil {
		if err := h.clone(flags); err != nil {
			return nil, err
		}
	}
	return p.Start(flags)
}

// cloneError says which namespace a refused clone was refused for, which the kernel does
// not, by trying each.
func cloneError(p *plan, err error) error {
	var errno syscall.Errno
	if p.flags == 0 || !errors.As(err, &errno) || errno == syscall.EAGAIN || errno == syscall.ENOMEM {
		return fmt.Errorf("sandbox: clone: %w", err)
	}
	with := p.flags & unix.CLONE_NEWUSER
	for _, ns := range namespaces {
		if p.flags&ns.flag == 0 {
			continue
		}
		if e := p.host.try(ns.flag | with); e != nil {
			return &lostError{control: ns.control, err: fmt.Errorf("clone: %w", e)}
		}
	}
	return fmt.Errorf("sandbox: clone: %w: each namespace alone can be had", err)
}

// try clones a child that does nothing.
func (h *host) try(flags uintptr) error {
	p := &program.Program{}
	p.Do("end", program.ExitGroup)
	run, err := h.start(p, flags)
	if err != nil {
		return err
	}
	defer run.Close()
	return eintr.Ignore(func() error {
		_, err := unix.Wait4(run.PID, nil, 0, nil)
		return err
	})
}

// What the child says, in this order, by a message without descriptors.
const (
	begun   = iota
	settled // namespaces, mounts, limits and groups are as they will be
	ready   // everything is
)

// converse takes the child to its exec: it prepares it, receives its sockets, looks at it,
// and lets it go.
func (l *launching) converse(ctx context.Context) (*Report, error) {
	// Whatever it waits for, a child that is killed ends the conversation.
	child := l.child // which because forgets
	stop := context.AfterFunc(ctx, func() { _ = child.Kill() })
	defer stop()
	group, groupErr, err := l.prompt(ctx)
	if err != nil {
		return nil, err
	}
	want := len(l.plan.sockets)
	if l.plan.notify() {
		want++
	}
	w, err := l.plan.witness(l.run.PID, group)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for reached := begun; reached < ready; {
		more, err := l.hear()
		files = append(files, more...)
		if err != nil {
			closeAll(files)
			return nil, l.because(ctx, err)
		}
		if len(more) > 0 {
			continue
		}
		if reached++; reached == settled {
			w.settled()
		}
	}
	if len(files) != want {
		closeAll(files)
		return nil, fmt.Errorf("sandbox: %d sockets from the child, want %d", len(files), want)
	}
	if err := l.serve(files); err != nil {
		return nil, err
	}
	if err := w.ready(); err != nil {
		if ctx.Err() != nil { // a child that was killed meanwhile shows nothing
			return nil, fmt.Errorf("sandbox: start: %w", ctx.Err())
		}
		if l.ended() { // nor does one that somebody else killed
			return nil, l.because(ctx, io.EOF)
		}
		return nil, err
	}
	if err := l.tell(); err != nil {
		return nil, l.because(ctx, err)
	}
	report := l.plan.report(l.run, w, groupErr) // while the child is on its way
	if _, err := l.hear(); !errors.Is(err, io.EOF) || l.run.Failure() != nil {
		return nil, l.because(ctx, err)
	}
	if !stop() {
		return nil, fmt.Errorf("sandbox: start: %w", ctx.Err())
	}
	return report, nil
}

// prompt gives the child its user and the rest of its program, lets it go on, and puts it
// into groups. The second error says why it is not in all of them.
func (l *launching) prompt(ctx context.Context) (group *cgroup, groupErr, err error) {
	if l.plan.has(UserNamespace) {
		if err := l.mapUser(); exhausted(err) {
			return nil, nil, fmt.Errorf("sandbox: %s: %w", UserNamespace, err)
		} else if err != nil {
			return nil, nil, l.because(ctx, &lostError{control: UserNamespace, err: err})
		}
	}
	early := l.plan.has(CgroupNamespace) // its root is the child's group
	if early {
		group, groupErr = l.join()
	}
	if err := l.plan.complete(l.fds); err != nil {
		return nil, nil, err
	}
	if err := l.run.Extend(); err != nil {
		return nil, nil, fmt.Errorf("sandbox: %w", err)
	}
	if err := l.tell(); err != nil {
		return nil, nil, l.because(ctx, err)
	}
	if !early {
		group, groupErr = l.join()
	}
	return group, groupErr, nil
}

// join puts the child into groups of its own. The error says why it is not in all of them.
func (l *launching) join() (in *cgroup, err error) {
	if l.group, err = newCgroup(l.plan.limits); err != nil {
		return nil, err
	}
	if err := l.group.add(l.run.PID); err != nil {
		return nil, err
	}
	return l.group, nil
}

// mapUser gives the child's namespace one user: the host's own, or the one to become.
func (l *launching) mapUser() error {
	h := l.plan.host
	uid, gid := h.uid, h.gid
	dir := "/proc/" + strconv.Itoa(l.run.PID)
	if h.root() {
		uid, gid = h.user, h.user
	} else if err := procfs.Write(dir+"/setgroups", "deny"); err != nil {
		return explainMap(err)
	}
	if err := procfs.Write(dir+"/gid_map", fmt.Sprintf("%d %d 1\n", insideID, gid)); err != nil {
		return explainMap(err)
	}
	return explainMap(procfs.Write(dir+"/uid_map", fmt.Sprintf("%d %d 1\n", insideID, uid)))
}

// explainMap names the one cause that the host itself can remove.
func explainMap(err error) error {
	if dumpable, e := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil && e == nil && dumpable != 1 {
		return fmt.Errorf("%w: this process is not dumpable (PR_SET_DUMPABLE), so that it may not map its child's user: start sandboxes first", err)
	}
	return err
}

// tell lets the child go on.
func (l *launching) tell() error {
	return eintr.Ignore(func() error { return unix.Send(l.socket, []byte{1}, unix.MSG_NOSIGNAL) })
}

// hear waits for the child's next message and the descriptors in it. The error is io.EOF
// when the child has executed the program or has ended.
func (l *launching) hear() ([]*os.File, error) {
	var (
		n, oobn int
		body    [1]byte
		oob     = make([]byte, unix.CmsgSpace(4*(loopnet.MaxPorts+4)))
	)
	err := eintr.Ignore(func() (err error) {
		n, oobn, _, _, err = unix.Recvmsg(l.socket, body[:], oob, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		numbers, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return files, err
		}
		for _, fd := range numbers {
			files = append(files, os.NewFile(uintptr(fd), "sandbox socket"))
		}
	}
	return files, nil
}

// ended reports whether the child has, without reaping it.
func (l *launching) ended() bool {
	var info unix.Siginfo
	err := eintr.Ignore(func() error {
		return unix.Waitid(unix.P_PID, l.run.PID, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	})
	return err == nil && info.Signo != 0
}

// because finds the reason for a broken conversation: the caller, or a step of the child.
func (l *launching) because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("sandbox: start: %w", ctx.Err())
	}
	_ = l.child.Kill()
	if _, waiting := l.child.Wait(); waiting == nil {
		l.child = nil
	}
	if failure := l.run.Failure(); failure != nil {
		return lost(failure)
	}
	if _, own := errors.AsType[*lostError](err); own {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) {
		return errors.New("sandbox: the child was killed before it could start the program")
	}
	return fmt.Errorf("sandbox: conversation with the child: %w", err)
}

// undo leaves nothing behind.
func (l *launching) undo() {
	if l.child != nil {
		_ = l.child.Kill()
		_, _ = l.child.Wait()
	}
	l.finish()
	l.network.close()
	l.group.remove()
	l.release()
}

// finish ends what only a start needs. The child has left the host's memory.
func (l *launching) finish() {
	if l.run != nil {
		l.run.Close()
		if l.plan.host.root() && l.dumpable != 2 { // 2 is the kernel's own choice, and comes back by itself
			_ = unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(l.dumpable), 0, 0, 0)
		}
	}
	l.socket, l.theirs, l.null = shut(l.socket), shut(l.theirs), shut(l.null)
}

// shut closes a descriptor, if there is one, and leaves none.
func shut(fd int) int {
	if fd >= 0 {
		_ = unix.Close(fd)
	}
	return -1
}

// exhausted reports whether this process lacks what every call needs: that says nothing of
// the machine, and is no reason to do without a control.
func exhausted(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
