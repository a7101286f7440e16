//go:build linux

// Package asuser runs tests as an ordinary user on machines where tests run as root: the
// kernel refuses root other things.
package asuser

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// UID is the user and group that tests run as: one that owns nothing.
const UID = 61234

const marker = "MCPSEC_TEST_AS_USER"

// Again reports whether the caller is root; if so it has run the calling test once more,
// alone, in a process of an ordinary user, with that one's result: the caller returns.
//
//	if asuser.Again(t) {
//		return
//	}
func Again(t *testing.T) bool {
	t.Helper()
	if os.Getuid() != 0 {
		return false
	}
	if os.Getenv(marker) != "" {
		t.Fatal("still root after the change of user")
	}
	dir := Dir(t)
	binary := Copy(t, dir, "/proc/self/exe")
	cmd := exec.CommandContext(t.Context(), binary, "-test.run", pattern(t.Name()), "-test.count=1", "-test.v") //nolint:gosec // the test's own binary
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), marker+"=1", "HOME="+dir, "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: UID, Gid: UID}}
	out, err := cmd.CombinedOutput()
	judge(t, "as an ordinary user", out, err)
	return true
}

// judge makes the result of a test that ran in another process the caller's.
func judge(t *testing.T, how string, out []byte, err error) {
	t.Helper()
	switch {
	case err != nil:
		t.Errorf("%s: %v\n%s", how, err, out)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()+" "):
		t.Skipf("%s:\n%s", how, out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()+" "):
		t.Errorf("the test did not run %s:\n%s", how, out)
	default:
		t.Logf("%s:\n%s", how, out)
	}
}

// Dir returns a temporary folder that everybody can enter and that belongs to the
// ordinary user if the caller is root.
func Dir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "asuser") //nolint:usetesting // nobody else could enter that one
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // for the ordinary user
		tb.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(dir, UID, UID); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// Copy copies a program into a folder of [Dir] and returns its path there.
func Copy(tb testing.TB, dir, program string) string {
	tb.Helper()
	from, err := os.Open(program)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	path := filepath.Join(dir, filepath.Base(program))
	write(tb, path, from)
	return path
}

// Script writes a program of a shell's, or of another interpreter, that is run at once.
func Script(tb testing.TB, path, text string) {
	tb.Helper()
	write(tb, path, strings.NewReader(text))
}

// write writes a program that nobody has open for writing once it returns: a child that
// another test has just cloned would, until it executes something itself
// (go.dev/issue/22315). So none is cloned meanwhile.
func write(tb testing.TB, path string, from io.Reader) {
	tb.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755) //nolint:gosec // a program for everybody
	if err != nil {
		tb.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		tb.Fatal(err)
	}
}

// pattern matches exactly one test or subtest.
func pattern(name string) string {
	return "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
}
