package clients

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// npm returns the path of a file of a package that "make clients" installs.
func npm(tb testing.TB, file string) string {
	tb.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", ".cache", "npm", "node_modules", filepath.FromSlash(file)))
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		absent(tb, file, "make clients")
	}
	return path
}

// node runs a script with the Node that the clients need. It must end by itself.
func node(tb testing.TB, s *site, env []string, args ...string) (string, error) {
	tb.Helper()
	cmd := exec.Command(npm(tb, "node/bin/node"), args...)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.path("ca.pem"), "NO_UPDATE_NOTIFIER=1", "HOME="+tb.TempDir())
	cmd.Env = append(cmd.Env, env...)
	cmd.Dir = tb.TempDir()
	return output(tb, cmd, 5*time.Minute)
}

// system returns a program of the system.
func system(tb testing.TB, name, pkg string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		absent(tb, name, "apt install "+pkg)
	}
	return path
}

// output runs a command for at most d, and returns all that it printed.
func output(tb testing.TB, cmd *exec.Cmd, d time.Duration) (string, error) {
	tb.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), d)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	if ctx.Err() != nil {
		tb.Errorf("%s did not end within %v", filepath.Base(cmd.Path), d)
	}
	return out.String(), err
}

// script runs one of the scripts of testdata beside the packages it imports, as alice.
func (s *site) script(tb testing.TB, name string, args ...string) (string, error) {
	tb.Helper()
	return s.scriptEnv(tb, nil, name, args...)
}

// scriptEnv is script with other variables, which win.
func (s *site) scriptEnv(tb testing.TB, env []string, name string, args ...string) (string, error) {
	tb.Helper()
	return node(tb, s, s.alice(tb, env...), append([]string{"--import", beside(tb, "mtls.mjs"), beside(tb, name)}, args...)...)
}

// alice is her environment: certificate, token, and the authority she trusts.
func (s *site) alice(tb testing.TB, env ...string) []string {
	tb.Helper()
	return append([]string{
		"CLIENTS_CA=" + s.path("ca.pem"), "CLIENTS_CERT=" + s.path("alice.pem"), "CLIENTS_KEY=" + s.path("alice.key"),
		"CLIENTS_TOKEN=" + s.Token,
	}, env...)
}

// beside copies a script of testdata to where Node finds the packages it imports.
func beside(tb testing.TB, name string) string {
	tb.Helper()
	script, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	f, err := os.CreateTemp(filepath.Dir(filepath.Dir(npm(tb, "undici/package.json"))), "test-*-"+name)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.Remove(f.Name()) })
	if _, err := f.Write(script); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return f.Name()
}
