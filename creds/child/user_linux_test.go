package child

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpsec/mcpsec-go/creds"
)

// A child of another user, as doc.go advises, reads its token and is known.
func TestAnotherUser(t *testing.T) { //nolint:paralleltest // a program that is written must be in nobody's hands
	if os.Geteuid() != 0 {
		t.Skip("reason: only root may start a process of another user: run it in a container")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "child") //nolint:usetesting // the parent of one of t is closed to others
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	program := filepath.Join(dir, "program")
	copyProgram(t, program)
	r := &roles{}
	must(t, inCall(t.Context(), t, func(ctx context.Context) error {
		cmd := exec.Command(program)
		cmd.Dir, cmd.Env = "/", []string{helperVariable + "=sdk"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		d := talk(ctx, t, cmd, AWS("aws"))
		if got := d.read(t); got != r.line(1) {
			t.Errorf("%q, not %q", got, r.line(1))
		}
		must(t, d.end())

		var out strings.Builder
		raw := exec.Command(program, "/dev/fd/{fd:db}")
		raw.Dir, raw.Env, raw.Stdout, raw.SysProcAttr = "/", []string{helperVariable + "=raw"}, &out, cmd.SysProcAttr
		if err := Run(ctx, raw, Raw("db")); err != nil || out.String() != digest([]byte(canary))+"\n" {
			t.Errorf("%v: %s", err, out.String())
		}
		return nil
	}, creds.Named("aws", r), secret("db", canary)))
}

// copyProgram copies this program, so that no child of another test has the copy open for
// writing, which would keep it from being executed (go.dev/issue/22315).
func copyProgram(t *testing.T, to string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	in, err := os.Open("/proc/self/exe")
	must(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, err)
	must(t, out.Close())
}
