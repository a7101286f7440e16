//go:build linux && (amd64 || arm64)

package sandbox

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/program"
)

// Direct starts processes with nothing but system calls, made between clone and exec: no
// other program, no privilege.
var Direct Backend = direct{}

type direct struct {
	host *host // nil: the one this runs on
}

// Start starts a command. A control that the kernel refuses is left out if the command
// allows that, and the report says so; if not, the start fails and the error wraps an
// [*UnavailableError]. The program executes nothing before the report is made and
// [Command.Network] has returned.
func (d direct) Start(ctx context.Context, c *Command) (Process, error) {
	v, err := c.check()
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	p, err := d.start(ctx, c, v)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (d direct) start(ctx context.Context, c *Command, v *view) (*process, error) {
	h, err := d.look(c)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	without := h.absent()
	for {
		for _, control := range everything {
			if err := without[control]; err != nil && required(c, control, without) && !slices.Contains(c.Allow, control) {
				return nil, &UnavailableError{Control: control, Remedy: remedy(control, err), Err: err}
			}
		}
		p, err := launch(ctx, c, v, h, without)
		if err == nil {
			return p, nil
		}
		var l *lostError
		if !errors.As(err, &l) || without[l.control] != nil {
			return nil, err
		}
		lose(without, l.control, l.err, h)
	}
}

// Explain says which system calls [Direct] would make for a command on this machine, one
// a line, if all of them succeed.
func Explain(c *Command) (string, error) {
	v, err := c.check()
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	h, err := direct{}.look(c)
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	d := fds{stdin: 0, stdout: 1, stderr: 2, program: -1, child: fdControl, host: -1}
	if c.Program != nil {
		d.program = fdProgram
	}
	p, err := newPlan(c, v, h, d, h.absent())
	if err != nil {
		return "", err
	}
	return p.Explain(), nil
}

func (d direct) look(c *Command) (host, error) {
	if d.host == nil {
		return thisHost(c.User)
	}
	h := *d.host
	return h, nil
}

// absent are the controls that are known not to be there.
func (h *host) absent() map[Control]error {
	without := map[Control]error{}
	for _, l := range []struct {
		control Control
		abi     int
	}{{LandlockFiles, 1}, {LandlockNet, 4}, {LandlockScope, 6}} {
		if h.abi < l.abi {
			without[l.control] = fmt.Errorf("landlock abi %d, needs %d: %w", h.abi, l.abi, errors.ErrUnsupported)
		}
	}
	return without
}

// lose leaves out a control, and those that cannot be had without it.
func lose(without map[Control]error, c Control, err error, h host) {
	without[c] = err
	var follow []Control
	switch c {
	case UserNamespace:
		if !h.root() {
			follow = []Control{MountNamespace, PIDNamespace, IPCNamespace, UTSNamespace, NetNamespace, CgroupNamespace}
		}
	case MountNamespace, PIDNamespace:
		follow = []Control{Proc}
	case LandlockFiles:
		follow = []Control{LandlockNet, LandlockScope}
	default:
	}
	for _, f := range follow {
		if without[f] == nil {
			lose(without, f, fmt.Errorf("%s is missing: %w", c, err), h)
		}
	}
	if c == PIDNamespace && without[Tree] == nil {
		without[Tree] = fmt.Errorf("%s is missing: %w", c, err)
	}
}

// required reports whether a start fails without a control, unless the command allows it.
func required(c *Command, control Control, without map[Control]error) bool {
	switch control {
	case Cgroup, Artifact, Speculation, CoreScheduling:
		return false
	case Egress:
		return len(c.Profile.Egress) > 0
	case LandlockNet:
		// The network namespace holds nothing to reach, and without hosts the filter lets
		// no socket be made.
		return without[NetNamespace] != nil && len(c.Profile.Egress)+len(c.Profile.Listen) > 0
	case LandlockScope:
		return without[PIDNamespace] != nil || without[NetNamespace] != nil
	default:
		return true
	}
}

// lostError is a control that the kernel refused.
type lostError struct {
	control Control
	err     error
}

func (e *lostError) Error() string { return fmt.Sprintf("sandbox: %s: %v", e.control, e.err) }
func (e *lostError) Unwrap() error { return e.err }

// lost makes an error of a step into one of its control.
func lost(err error) error {
	var step *program.StepError
	if errors.As(err, &step) && step.Section != "" {
		return &lostError{control: Control(step.Section), err: err}
	}
	return fmt.Errorf("sandbox: %w", err)
}

// check refuses commands that cannot be meant, and resolves the paths of the others.
func (c *Command) check() (*view, error) {
	switch {
	case c == nil:
		return nil, errors.New("no command")
	case len(c.Args) == 0:
		return nil, errors.New("no arguments: the first one is the program's name")
	case len(c.Profile.Egress) > 0 && c.Network == nil:
		return nil, errors.New("the profile has hosts to reach, and there is no Network to serve them")
	}
	if err := c.Profile.Limits.check(); err != nil {
		return nil, err
	}
	if _, err := egressPorts(c.Profile.Egress); err != nil {
		return nil, err
	}
	v, err := newView(c)
	if err != nil {
		return nil, err
	}
	if c.Program != nil {
		return v, checkArchitecture(c.Program)
	}
	if !filepath.IsAbs(c.Path) || filepath.Clean(c.Path) != c.Path {
		return nil, fmt.Errorf("program %q: not an absolute, clean path", c.Path)
	}
	return v, checkProgram(c.Path, v)
}

// checkProgram says in words what the kernel would say with an errno.
func checkProgram(path string, v *view) error {
	source := path
	if e := cover(v.entries, path); e != nil {
		source = filepath.Join(e.source, path[len(e.target):])
	}
	found, err := filepath.EvalSymlinks(source)
	if err != nil {
		return fmt.Errorf("program: %w", err)
	}
	if source == path && !v.executable(found) {
		return fmt.Errorf("program %s: not below a path that the profile lets it execute: add it to Exec", found)
	}
	f, err := os.OpenFile(found, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrPermission) {
		return nil // executable all the same, perhaps; the kernel knows
	}
	if err != nil {
		return fmt.Errorf("program: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("program: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("program %s: not a file", found)
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("program %s: not executable: chmod +x, or start its interpreter", found)
	}
	return checkArchitecture(f)
}

// checkArchitecture refuses programs of another kind of machine, which the kernel either
// cannot execute or runs with system calls that the filter kills.
func checkArchitecture(f io.ReaderAt) error {
	head := make([]byte, 20)
	if n, _ := f.ReadAt(head, 0); n < len(head) || string(head[:4]) != elf.ELFMAG {
		return nil // a script, or nothing that runs
	}
	machine := elf.Machine(uint16(head[18]) | uint16(head[19])<<8)
	if elf.Class(head[elf.EI_CLASS]) != elf.ELFCLASS64 || machine != ownMachine {
		return fmt.Errorf("program is for %s, %s: this machine runs %s", machine, elf.Class(head[elf.EI_CLASS]), ownMachine)
	}
	return nil
}
