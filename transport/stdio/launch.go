package stdio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/internal/regular"
	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// DefaultGrace is how long a server has to end after its input has ended.
const DefaultGrace = 5 * time.Second

// A Launch starts a server in a sandbox and is the transport to it, for Connect of an
// mcp.Client. It fails closed: a control that cannot be put in force, and is not named in
// Allow, is an error and nothing runs. It is for one connection and must not be copied
// or changed after Connect.
type Launch struct {
	// Command is the program and its arguments. A program without a slash is looked for in
	// /usr/local/bin, /usr/bin and /bin, whatever the host's PATH says.
	Command []string
	// Artifact says how it is known what runs. Nil is refused, unless Allow names
	// sandbox.Artifact.
	Artifact Artifact
	// Profile says what the server may touch; the zero value is the strictest.
	Profile sandbox.Profile
	// Allow names controls without which the server may run all the same.
	Allow []sandbox.Control
	// Env are variables as NAME=value, and PassEnv the names of those it is given as the
	// host has them. The rest of the host's environment does not reach the server. Names
	// that change what a loader or runtime executes are refused, unless they are also in
	// UnsafeEnv. PATH, HOME, TMPDIR, LANG and TZ replace the launcher's own: they decide among
	// what the profile lets the server read and execute, and open nothing else.
	Env, PassEnv, UnsafeEnv []string
	// User is the host's user that the server runs as if the host is root; 0 means 65534.
	User int
	// MaxLine bounds a message of the server in bytes; 0 means [DefaultMaxLine].
	MaxLine int
	// Grace is how long the server has to end when the connection is closed: half of it
	// after its input ended, and half after SIGTERM. Then every process of it is killed. 0
	// means [DefaultGrace].
	Grace time.Duration
	// OnStderr, if set, is given each line of the server's standard error, cut at 4096
	// bytes: text of a stranger. While it runs, nothing more is read of it.
	OnStderr func(line string)
	// Events is told what happens, one at a time; nil means LogTo(slog.Default()). It must
	// return soon, and not close the connection.
	Events func(Event)
	// Egress are limits of what the server does in the network, and how names are resolved
	// and addresses dialled; its policy is Profile.Egress and is not given here.
	Egress egress.Config
	// Backend makes the sandbox; nil means the kernel's own means, [sandbox.Direct].
	Backend sandbox.Backend

	used   atomic.Bool
	report atomic.Pointer[sandbox.Report]
	stderr ring
	events sync.Mutex // one at a time
}

var _ mcp.Transport = (*Launch)(nil)

// Report says what confines the server; nil before Connect has returned without error.
// Read only.
func (l *Launch) Report() *sandbox.Report { return l.report.Load() }

// Stderr returns the last 64 KiB that the server wrote to its standard error.
func (l *Launch) Stderr() []byte { return l.stderr.last() }

// Format prints the command alone: values of the environment are nobody's to see.
func (l *Launch) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "stdio.Launch("+fmt.Sprintf("%q", l.Command)+")") // a writer in memory
}

// Connect verifies and starts the server. The context bounds that, and not the server's
// life, which Close of the connection ends.
func (l *Launch) Connect(ctx context.Context) (mcp.Connection, error) {
	if l.used.Swap(true) {
		return nil, errors.New("stdio: a Launch is for one connection: make another one")
	}
	c, err := l.connect(ctx)
	if err != nil {
		l.tell(Event{Kind: Refused, Detail: err.Error()})
		return nil, err
	}
	return c, nil
}

func (l *Launch) connect(ctx context.Context) (_ *server, err error) {
	cmd, run, err := l.command(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, run.close())
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("stdio: start: %w", err)
	}
	pipes, err := newPipes(cmd)
	if err != nil {
		return nil, err
	}
	process, err := l.backend().Start(ctx, cmd)
	pipes.closeTheirs(cmd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stdio: start %s: %w", l.name(), err), pipes.closeOurs())
	}
	s := newServer(l, process, pipes, run)
	report, err := l.judge(process, run, cmd.Env)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stdio: start %s: %w", l.name(), err), s.abort()) //nolint:contextcheck // the start is over, and the server must go all the same
	}
	l.report.Store(report)
	l.announce(process.PID(), report, cmd.Env)
	return s, nil
}

// command makes the command of the backend.
func (l *Launch) command(ctx context.Context) (*sandbox.Command, *prepared, error) {
	c := command(l.Command)
	if err := c.check(); err != nil {
		return nil, nil, err
	}
	if l.MaxLine < 0 || l.Grace < 0 || l.User < 0 {
		return nil, nil, errors.New("stdio: MaxLine, Grace and User cannot be negative")
	}
	network, err := l.network()
	if err != nil {
		return nil, nil, err
	}
	lacks := l.lacks(ctx)
	env, err := l.environment(network.variables(lacks(sandbox.NetNamespace)))
	if err != nil {
		return nil, nil, errors.Join(err, network.close())
	}
	run, err := l.prepare(ctx, c)
	if err != nil {
		return nil, nil, errors.Join(err, network.close())
	}
	profile := l.Profile
	if profile.Dir == "" {
		profile.Dir = run.dir
	}
	if run.exec != "" {
		profile.Exec = append(slices.Clone(profile.Exec), run.exec)
	}
	cmd := &sandbox.Command{
		Program: run.program, Path: run.path, Args: slices.Clone(l.Command), Env: env, Mounts: run.mounts,
		Profile: profile, Allow: l.Allow, User: l.User,
	}
	cmd.Args[0] = run.path      // and no path of the host
	network.attach(l, cmd, run) //nolint:contextcheck // it lasts longer than the start
	if lacks(sandbox.MountNamespace) {
		if err := run.stay(cmd, l.User); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("stdio: without a mount namespace: %w", err), run.close())
		}
	}
	return cmd, run, nil
}

func (l *Launch) prepare(ctx context.Context, c command) (*prepared, error) {
	if l.Artifact == nil {
		if !slices.Contains(l.Allow, sandbox.Artifact) {
			return nil, fmt.Errorf("stdio: %w: Launch.Artifact does not say how %s is known: give a stdio.Program or a stdio.Tree", ErrArtifact, c.name())
		}
		return unverified(c)
	}
	run, err := l.Artifact.prepare(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := l.suits(run); err != nil {
		return nil, errors.Join(fmt.Errorf("stdio: %s: %w", c.name(), err), run.close())
	}
	return run, nil
}

// suits refuses a profile with which something else than what was verified would run.
func (l *Launch) suits(run *prepared) error {
	if run.system != "" && !l.Profile.System {
		return errors.New("it needs Profile.System: " + run.system)
	}
	if run.relative && l.Profile.Dir != "" && l.Profile.Dir != AppDir {
		return fmt.Errorf("%w: Profile.Dir decides which script runs: name it %s/..., or leave Dir empty", ErrArtifact, AppDir)
	}
	if len(run.mounts) == 0 {
		return nil
	}
	for _, name := range slices.Concat(l.Profile.Read, l.Profile.Write, l.Profile.Exec) {
		target, _ := filepath.EvalSymlinks(name) // the sandbox says so if there is nothing
		for _, name := range []string{filepath.Clean(name), target} {
			if name == AppDir || strings.HasPrefix(name, AppDir+"/") {
				return fmt.Errorf("%w: the profile names %s, where the verified copy appears: move that folder of the host", ErrArtifact, name)
			}
		}
	}
	return nil
}

// judge adds to the report what the launcher itself has put in force, and refuses a
// backend that says a required control is not.
func (l *Launch) judge(process sandbox.Process, run *prepared, env []string) (*sandbox.Report, error) {
	from := process.Report()
	if from == nil {
		return nil, errors.New("the backend has no report of what it put in force")
	}
	report := *from
	report.Controls = slices.Clone(from.Controls)
	report.Artifact = run.digest
	set(&report, sandbox.Finding{
		Control: sandbox.Artifact, Wanted: true, Required: !slices.Contains(l.Allow, sandbox.Artifact),
		InForce: run.digest != "" || run.how == "owned by root", Verified: run.digest != "" && run.weak == "",
		Mechanism: run.how, Detail: run.weak,
	})
	set(&report, sandbox.Finding{Control: sandbox.Environment, Wanted: true, Required: true, InForce: true, Verified: given(process.PID(), env), Mechanism: "built from nothing"})
	for _, f := range report.Controls {
		if f.Required && !f.InForce && !slices.Contains(l.Allow, f.Control) {
			return nil, fmt.Errorf("control %q is not in force: %s %s", f.Control, f.Detail, f.Remedy)
		}
	}
	return &report, nil
}

// given reports whether a process is seen to have the environment and nothing else.
func given(pid int, env []string) bool {
	seen, err := regular.ReadFile(fmt.Sprintf("/proc/%d/environ", pid), 2*maxEnvironment)
	return err == nil && string(seen) == strings.Join(env, "\x00")+"\x00"
}

// set puts a finding in the place of that of the same control.
func set(r *sandbox.Report, f sandbox.Finding) {
	i := slices.IndexFunc(r.Controls, func(old sandbox.Finding) bool { return old.Control == f.Control })
	if i < 0 {
		r.Controls = append(r.Controls, f)
		return
	}
	r.Controls[i] = f
}

// announce tells how the server runs.
func (l *Launch) announce(pid int, report *sandbox.Report, env []string) {
	l.tell(Event{Kind: Started, PID: pid, Report: report})
	for _, f := range report.Controls {
		if f.Wanted && !f.InForce {
			l.tell(Event{Kind: Degraded, PID: pid, Control: f.Control, Detail: f.Detail})
		}
	}
	for _, name := range credentials(env) {
		l.tell(Event{Kind: Given, PID: pid, Detail: name})
	}
}

func (l *Launch) name() string {
	if len(l.Command) == 0 {
		return ""
	}
	return printable(filepath.Base(l.Command[0]))
}

func (l *Launch) tell(e Event) {
	e.Time, e.Server = time.Now(), l.name()
	l.events.Lock()
	defer l.events.Unlock()
	if l.Events == nil {
		LogTo(slog.Default())(e)
		return
	}
	l.Events(e)
}

func (l *Launch) backend() sandbox.Backend {
	if l.Backend != nil {
		return l.Backend
	}
	return sandbox.Direct
}
