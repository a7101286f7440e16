//go:build linux

package oci

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// A Runtime starts processes by an OCI runtime. Its fields must not change once it is in
// use; it is then safe for concurrent use.
type Runtime struct {
	// Path is the runtime's program: an absolute path, or the name of one in a folder for
	// system programs. Empty means runc. One whose name begins with "runsc" is gVisor's, and
	// is given the options it needs.
	Path string
	// Args are options of the runtime that stand before its command, such as
	// "--platform=systrap" for runsc.
	Args []string
	// Dir is where bundles and the runtime's state are kept while processes run: a folder
	// of the host's user alone. Empty means a new one below the temporary folder, for each
	// process.
	Dir string
}

var _ sandbox.Backend = (*Runtime)(nil)

// startTimeout bounds a start where the context does not.
const startTimeout = 30 * time.Second

// systemPath is where runtimes are looked for by name, whatever PATH says.
var systemPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// Start implements [sandbox.Backend]. An OCI runtime knows no Landlock: the command must
// allow to start without sandbox.LandlockFiles.
func (r *Runtime) Start(ctx context.Context, c *sandbox.Command) (_ sandbox.Process, err error) {
	program, err := r.program()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(c.Allow, sandbox.LandlockFiles) {
		return nil, &sandbox.UnavailableError{
			Control: sandbox.LandlockFiles, Err: errors.New("not part of the OCI specification"),
			Remedy: "name it in Allow: an OCI runtime confines files by the mount namespace alone",
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	b, err := newBundle(ctx, r.Dir, c)
	if err != nil {
		return nil, fmt.Errorf("oci: %w", err)
	}
	defer func() {
		if err != nil {
			b.remove()
		}
	}()
	nets, err := b.network(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("oci: %w", err)
	}
	b.nets = nets
	defer nets.release()
	args := r.Args
	if isGVisor(program) {
		b.forGVisor()
		args = slices.Concat(args, gVisorOptions(b))
	}
	if err := b.write(); err != nil {
		return nil, fmt.Errorf("oci: %w", err)
	}
	if err := nets.serve(c); err != nil {
		return nil, fmt.Errorf("oci: %w", err)
	}
	p := &process{runtime: program, args: args, bundle: b, id: "mcpsec-" + strings.ToLower(rand.Text()), done: make(chan struct{})}
	if err := p.run(ctx, c); err != nil {
		return nil, err
	}
	if err := p.settle(ctx, c); err != nil {
		p.abandon(ctx)
		return nil, err
	}
	return p, nil
}

// program finds the runtime.
func (r *Runtime) program() (string, error) {
	name := r.Path
	if name == "" {
		name = "runc"
	}
	if filepath.IsAbs(name) {
		return name, executable(name)
	}
	if strings.ContainsRune(name, filepath.Separator) {
		return "", fmt.Errorf("oci: %q is neither an absolute path nor a name", name)
	}
	for _, dir := range systemPath {
		if path := filepath.Join(dir, name); executable(path) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("oci: there is no runtime %q in %s: install it, or give its absolute path", name, strings.Join(systemPath, ", "))
}

func executable(path string) error {
	if _, err := exec.LookPath(path); err != nil {
		return fmt.Errorf("oci: %w", err)
	}
	return nil
}

// run starts the runtime in the foreground, as the parent of the program.
func (p *process) run(ctx context.Context, c *sandbox.Command) error {
	args := slices.Concat(p.args, []string{"--root", p.bundle.state, "run", "--bundle", p.bundle.dir, "--pid-file", p.bundle.pidFile, p.id})
	cmd := exec.Command(p.runtime, args...) //nolint:gosec,noctx // the runtime of the caller's choice; it outlives the start
	if c.Stdin != nil {                     // a nil file in an interface is not none, but a closed one
		cmd.Stdin = c.Stdin
	}
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	if c.Stderr != nil {
		cmd.Stderr = c.Stderr
	}
	cmd.Env = p.environ()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("oci: %w", err)
	}
	p.cmd = cmd
	go func() {
		defer close(p.done)
		p.fault = cmd.Wait()
		if _, exited := errors.AsType[*exec.ExitError](p.fault); exited {
			p.fault = nil // how it ended is in its state
		}
		p.delete(context.WithoutCancel(ctx))
		p.remove()
	}()
	return nil
}

// settle waits until the program runs, and looks whether it is confined.
func (p *process) settle(ctx context.Context, c *sandbox.Command) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		if pid, ok := p.started(ctx); ok {
			p.pid = pid
			report, err := p.inspect(pid, c)
			if err == nil {
				p.report = report
				return nil
			}
			if !errors.Is(err, errNotYet) {
				return fmt.Errorf("oci: %w", err)
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("oci: %s ended before the program ran: %v; its message is on standard error", p.name(), p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("oci: %s did not start the program in time: %w", p.name(), context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// inspect looks from outside whether a process is confined.
func (p *process) inspect(pid int, c *sandbox.Command) (*sandbox.Report, error) {
	if isGVisor(p.runtime) {
		return inspectGVisor(pid, p, c)
	}
	return inspect(pid, p.name(), p.bundle, c)
}

// started returns the first process inside once the runtime's own program is no longer in
// it.
func (p *process) started(ctx context.Context) (int, bool) {
	raw, err := os.ReadFile(p.bundle.pidFile)
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid <= 1 {
		return 0, false
	}
	var state struct {
		Status string `json:"status"`
	}
	out, err := p.ask(ctx, "state", p.id)
	if err != nil || json.Unmarshal(out, &state) != nil || state.Status != "running" {
		return 0, false
	}
	return pid, true
}
