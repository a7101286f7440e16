package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
)

// waitDelay is how long a child's output may be held open by what it has started.
const waitDelay = 5 * time.Second

// leastSecret is the length from which a secret is looked for in arguments: a shorter
// one would be found in everything.
const leastSecret = 4

// A Delivery is a way in which one credential reaches a child. Make one with [Pipe],
// [Raw] or [AWS].
type Delivery interface {
	// prepare takes what the child needs from the handle and adds it to the run.
	prepare(ctx context.Context, r *run) error
}

// A run is one child and what is set up for it.
type run struct {
	handle *creds.Handle
	args   []string
	env    []string
	user   *int       // as whom the child runs, if not as the server
	files  []*os.File // that the child inherits, from descriptor 3 on
	fds    map[string]int
	told   map[string]bool // which of fds the child is told
	// started is called with the child's process id once it runs.
	started []func(pid int)
	undo    []func() // in reverse order, whatever happens
	secrets [][]byte // that must be in no argument
}

// Run starts cmd with the credentials and waits for it, like its method Run, which must
// not be used. It must be called by the handler of a tool, with its context; the child
// is killed when that ends. cmd is not started if a credential cannot be had: the error
// then is the one of creds.Handle.Get.
//
// cmd.Env is the whole environment of the child, also if it is nil. cmd.ExtraFiles must
// be empty. If cmd.SysProcAttr is nil, the child has a process group of its own (Unix).
// If cmd.WaitDelay is 0, it is 5 seconds.
func Run(ctx context.Context, cmd *exec.Cmd, deliveries ...Delivery) error {
	handle, err := creds.From(ctx)
	if err != nil {
		return err
	}
	switch {
	case !supported:
		return fmt.Errorf("child.Run: %w on this system", errors.ErrUnsupported)
	case cmd == nil || cmd.Process != nil:
		return errors.New("child.Run: need a command that has not been started")
	case len(cmd.ExtraFiles) > 0:
		return errors.New("child.Run: cmd.ExtraFiles must be empty: their numbers are given to credentials")
	case len(deliveries) == 0:
		return errors.New("child.Run: no credential is delivered: use cmd.Run with an explicit cmd.Env")
	}
	r := &run{handle: handle, args: slices.Clone(cmd.Args), env: append([]string{}, cmd.Env...), user: user(cmd), fds: map[string]int{}, told: map[string]bool{}}
	defer r.clean()
	for _, d := range deliveries {
		if d == nil {
			return errors.New("child.Run: a delivery is nil")
		}
		if err := d.prepare(ctx, r); err != nil {
			return err
		}
	}
	if err := r.tell(); err != nil {
		return err
	}
	if err := r.look(); err != nil {
		return err
	}
	cmd.Args, cmd.Env, cmd.ExtraFiles = r.args, r.env, r.files
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = waitDelay
	}
	ownGroup(cmd)
	return r.run(ctx, cmd)
}

// run starts the child and waits for it.
func (r *run) run(ctx context.Context, cmd *exec.Cmd) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("child.Run: %w", err)
	}
	for _, f := range r.files {
		_ = f.Close() // the child has its own
	}
	for _, started := range r.started {
		started(cmd.Process.Pid)
	}
	stop := context.AfterFunc(ctx, func() { kill(cmd) })
	err := cmd.Wait()
	if !stop() && err != nil {
		return fmt.Errorf("child.Run: the call is over: %w (%w)", context.Cause(ctx), err)
	}
	return err
}

// inherit gives the child a file, and returns its number there.
func (r *run) inherit(f *os.File) int {
	r.files = append(r.files, f)
	r.undo = append(r.undo, func() { _ = f.Close() })
	return 2 + len(r.files)
}

// tell puts numbers where {fd:NAME} stands.
func (r *run) tell() error {
	for _, list := range [][]string{r.args, r.env} {
		for i, text := range list {
			for name, fd := range r.fds {
				mark := "{fd:" + name + "}"
				if strings.Contains(text, mark) {
					text, r.told[name] = strings.ReplaceAll(text, mark, fmt.Sprint(fd)), true
				}
			}
			list[i] = text
		}
	}
	for name := range r.fds {
		if !r.told[name] {
			return fmt.Errorf("child.Run: nothing tells the child of credential %q: write {fd:%s} where it expects the number of a descriptor, in cmd.Args or cmd.Env", name, name)
		}
	}
	return nil
}

// look refuses a credential where others can read it.
func (r *run) look() error {
	for place, list := range map[string][]string{"an argument": r.args, "the environment": r.env} {
		for _, text := range list {
			for _, secret := range r.secrets {
				if len(secret) >= leastSecret && bytes.Contains([]byte(text), secret) {
					return fmt.Errorf("child.Run: %s has a credential, where every process of this user can read it: let the child read it from its descriptor", place)
				}
			}
		}
	}
	return nil
}

// keep remembers a secret until the run is over.
func (r *run) keep(secret []byte) {
	r.secrets = append(r.secrets, secret)
	r.undo = append(r.undo, func() { clear(secret) })
}

// later runs f in a goroutine that ends before Run returns.
func (r *run) later(f func(pid int)) {
	var wg sync.WaitGroup
	r.undo = append(r.undo, wg.Wait)
	r.started = append(r.started, func(pid int) { wg.Go(func() { f(pid) }) })
}

func (r *run) clean() {
	for _, undo := range slices.Backward(r.undo) {
		undo()
	}
}
