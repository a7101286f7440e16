//go:build linux

package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// A process is a container, and the runtime that waits for it.
type process struct {
	runtime string
	args    []string
	bundle  *bundle
	id      string
	cmd     *exec.Cmd
	pid     int
	report  *sandbox.Report
	done    chan struct{}
	fault   error // of waiting; after done

	asking sync.RWMutex // held while the runtime is asked something
	gone   bool         // the bundle is: a runtime that is asked would make its folder again
}

func (p *process) name() string            { return filepath.Base(p.runtime) }
func (p *process) PID() int                { return p.pid }
func (p *process) Report() *sandbox.Report { return p.report }

// Wait returns the state of the runtime, which ends as the program did.
func (p *process) Wait() (*os.ProcessState, error) {
	<-p.done
	return p.cmd.ProcessState, p.fault
}

// Signal lets the runtime pass a signal on. In the foreground gVisor's does not.
func (p *process) Signal(sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	if ok && (number == syscall.SIGKILL || isGVisor(p.runtime)) {
		_, err := p.ask(context.Background(), "kill", p.id, strconv.Itoa(int(number)))
		return err
	}
	return p.cmd.Process.Signal(sig)
}

// Kill ends the first process inside, and with it its namespace.
func (p *process) Kill(ctx context.Context) error {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		_, _ = p.ask(ctx, "kill", p.id, "KILL") // it may be over, or not yet begun
		select {
		case <-p.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("oci: the container is not gone: %w", context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// abandon ends what did not start as it should.
func (p *process) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
	defer cancel()
	if p.Kill(ctx) != nil {
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		<-p.done
	}
}

// delete removes what the runtime keeps of a container; in the foreground it does so
// itself, unless it was killed.
func (p *process) delete(ctx context.Context) { _, _ = p.ask(ctx, "delete", "--force", p.id) }

// remove takes the bundle away, once nothing is asked of it any more.
func (p *process) remove() {
	p.asking.Lock()
	defer p.asking.Unlock()
	p.gone = true
	p.bundle.remove()
}

// commandTimeout bounds the short commands of a runtime.
const commandTimeout = 10 * time.Second

// ask runs another command of the runtime, and returns what it prints.
func (p *process) ask(ctx context.Context, args ...string) ([]byte, error) {
	p.asking.RLock()
	defer p.asking.RUnlock()
	if p.gone {
		return nil, os.ErrProcessDone
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	all := slices.Concat(p.args, []string{"--root", p.bundle.state}, args)
	cmd := exec.CommandContext(ctx, p.runtime, all...) //nolint:gosec // the runtime of the caller's choice
	cmd.Env = p.environ()
	cmd.WaitDelay = time.Second // what it has started may keep its output open
	return cmd.Output()
}

// environ is the environment of the runtime itself.
func (p *process) environ() []string {
	return []string{"PATH=" + strings.Join(systemPath, ":"), "XDG_RUNTIME_DIR=" + p.bundle.dir}
}

var errNotYet = errors.New("the program does not run yet")
