//go:build linux && (amd64 || arm64)

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/eintr"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
	"golang.org/x/sys/unix"
)

// serve makes listeners of the child's sockets and gives them to the command.
func (l *launching) serve(files []*os.File) error {
	defer closeAll(files)
	p := l.plan
	if len(files) == 0 {
		return nil
	}
	if p.routed != nil {
		if err := routeError(l.run.Read(p.routed)); err != nil {
			return &lostError{control: Egress, err: err}
		}
	}
	if p.notify() {
		last := len(files) - 1
		fd, err := unix.FcntlInt(files[last].Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("sandbox: listener: %w", err)
		}
		l.network.Notify = os.NewFile(uintptr(fd), "seccomp listener")
	} else {
		n, err := listeners(files)
		l.network = n
		if err != nil {
			return fmt.Errorf("sandbox: sockets of the child: %w", err)
		}
	}
	if err := p.command.Network(l.network); err != nil {
		return fmt.Errorf("sandbox: network: %w", err)
	}
	return nil
}

// listeners takes the sockets in the order in which the plan made them.
func listeners(files []*os.File) (n Network, err error) {
	for i, f := range files {
		if i == 1 {
			conn, err := net.FilePacketConn(f)
			if err != nil {
				return n, err
			}
			n.DNS = conn
			continue
		}
		listener, err := net.FileListener(f)
		if err != nil {
			return n, err
		}
		if i == 0 {
			n.Proxy = listener
		} else {
			n.Transparent = append(n.Transparent, listener)
		}
	}
	return n, nil
}

func (n Network) close() {
	if n.Proxy != nil {
		_ = n.Proxy.Close()
	}
	if n.DNS != nil {
		_ = n.DNS.Close()
	}
	for _, t := range n.Transparent {
		_ = t.Close()
	}
	if n.Notify != nil {
		_ = n.Notify.Close()
	}
}

// process is a started sandbox. One goroutine of its own reaps it.
type process struct {
	child   *os.Process
	report  *Report
	group   *cgroup
	network Network
	release func()
	whole   bool // a PID namespace ends with its first process

	done  chan struct{}
	left  int // of the session, killed and not gone
	state *os.ProcessState
	err   error
}

func (l *launching) process(report *Report) *process {
	l.finish()
	p := &process{
		child: l.child, report: report, group: l.group, network: l.network, release: l.release,
		whole: l.plan.has(PIDNamespace), done: make(chan struct{}),
	}
	go p.reap()
	return p
}

// stragglers bounds how long the end of a process is held up by others that were killed
// and do not end.
const stragglers = 2 * time.Second

// reap waits for the process and takes away what belonged to it.
func (p *process) reap() {
	defer close(p.done)
	if !p.whole {
		_ = eintr.Ignore(func() error {
			return unix.Waitid(unix.P_PID, p.child.Pid, &unix.Siginfo{}, unix.WEXITED|unix.WNOWAIT, nil)
		})
		// Its number is its own until it is reaped below, and so are the group's and the
		// session's.
		_ = syscall.Kill(-p.child.Pid, syscall.SIGKILL)
		p.group.kill()
		p.empty()
	}
	p.state, p.err = p.child.Wait()
	p.network.close()
	p.group.remove()
	p.release()
}

// empty kills what is left of the session until nothing is: those that were killed are
// reaped by somebody else, and may have had children meanwhile.
func (p *process) empty() {
	// The kernel gives numbers in turn, and the first one's is still taken: if nobody has
	// got one since, there is nobody to look for.
	if last, err := procfs.Read("/proc/sys/kernel/ns_last_pid", procfs.Most); err == nil && last == strconv.Itoa(p.child.Pid)+"\n" {
		return
	}
	for deadline := time.Now().Add(stragglers); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		left := inSession(p.child.Pid)
		if p.left = len(left); p.left == 0 {
			return
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func (p *process) PID() int        { return p.child.Pid }
func (p *process) Report() *Report { return p.report }

func (p *process) Wait() (*os.ProcessState, error) {
	<-p.done
	return p.state, p.err
}

func (p *process) Signal(s os.Signal) error {
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
		return p.child.Signal(s)
	}
}

// Kill ends the first process; what is left of the others ends when it is reaped, while
// their numbers are surely their own.
func (p *process) Kill(ctx context.Context) error {
	if err := p.child.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sandbox: kill: %w", err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return fmt.Errorf("sandbox: kill: %w", ctx.Err())
	}
	if p.left > 0 {
		return fmt.Errorf("sandbox: kill: %d processes do not end", p.left)
	}
	return nil
}

// inSession are the processes of a session, but for its first and for those that have
// ended and wait for their parent.
func inSession(first int) []int {
	var list []int
	_ = procfs.Each("/proc", func(name []byte) { // what is seen is what can be killed
		pid := 0
		for _, digit := range name {
			if digit < '0' || digit > '9' {
				return
			}
			pid = 10*pid + int(digit-'0')
		}
		if pid == first {
			return
		}
		if session, err := unix.Getsid(pid); err != nil || session != first {
			return
		}
		stat, err := procfs.Read("/proc/"+strconv.Itoa(pid)+"/stat", procfs.Most)
		if err != nil {
			return
		}
		// The name, in parentheses, may contain anything.
		if state := strings.TrimSpace(stat[strings.LastIndexByte(stat, ')')+1:]); state != "" && state[0] != 'Z' && state[0] != 'X' {
			list = append(list, pid)
		}
	})
	return list
}
