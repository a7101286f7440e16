package stdio

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// lacks reports whether the sandbox will go without a control that the caller allows it
// to go without. Another backend than the kernel's own is not asked: it says so in its
// report.
func (l *Launch) lacks(ctx context.Context) func(sandbox.Control) bool {
	none := func(sandbox.Control) bool { return false }
	if l.Backend != nil || !slices.ContainsFunc(l.Allow, func(c sandbox.Control) bool {
		return c == sandbox.UserNamespace || c == sandbox.MountNamespace || c == sandbox.NetNamespace
	}) {
		return none
	}
	report, err := sandbox.Probe(ctx)
	if err != nil {
		return none // and the start will say why
	}
	return func(c sandbox.Control) bool {
		return slices.ContainsFunc(report.Controls, func(f sandbox.Finding) bool { return f.Control == c && !f.InForce })
	}
}

// stay makes up for a mount namespace that is missing: copies are used where they lie, and
// the server gets a folder of its own instead of a private /tmp.
func (p *prepared) stay(cmd *sandbox.Command, user int) error {
	for i, m := range cmd.Mounts {
		moved := func(path string) string {
			if rest, ok := strings.CutPrefix(path, m.Target); ok && (rest == "" || rest[0] == '/') {
				return m.Source + rest
			}
			return path
		}
		cmd.Path, cmd.Profile.Dir = moved(cmd.Path), moved(cmd.Profile.Dir)
		for i, arg := range cmd.Args {
			cmd.Args[i] = moved(arg)
		}
		cmd.Mounts[i].Target = m.Source
		if err := passable(filepath.Dir(m.Source)); err != nil {
			return err
		}
	}
	temp, err := newPrivateDir()
	if err != nil {
		return err
	}
	p.discard = append(p.discard, temp.remove)
	if os.Getuid() == 0 {
		if user == 0 {
			user = nobody
		}
		if err := errors.Join(passable(temp.outside), os.Chown(temp.inside, user, user)); err != nil {
			return err
		}
	}
	cmd.Profile.Write = append(slices.Clone(cmd.Profile.Write), temp.inside)
	for i, variable := range cmd.Env {
		if variable == "HOME=/tmp" || variable == "TMPDIR=/tmp" {
			cmd.Env[i] = strings.TrimSuffix(variable, "/tmp") + temp.inside
		}
	}
	if cmd.Profile.Dir == "" {
		cmd.Profile.Dir = temp.inside
	}
	return nil
}

// nobody is the user of confined processes where the host is root.
const nobody = 65534

// passable lets the user of a confined process pass a folder whose host is root. Its name
// cannot be guessed or listed.
func passable(dir string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Chmod(dir, 0o711) //nolint:gosec // passed, not listed
}
