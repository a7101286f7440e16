package leak

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if path, err := program(); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
		os.Exit(code)
	}))
}

// start returns a server, or skips.
func start(t *testing.T, hostile bool) *rig {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("reason: looks at /proc")
	}
	return newRig(t, hostile)
}

func TestNothingThatAGuardedServerSaysHasASecret(t *testing.T) {
	t.Parallel()
	r := start(t, false)
	for _, name := range credentials {
		res, err := r.call(t.Context(), "quiet", name)
		if err != nil || res.IsError {
			t.Fatalf("%s is not issued: %v\n%s", name, err, r.said())
		}
		for _, how := range []string{"print", "panic", "panic with the secret", "denial", "report"} {
			res, err := r.call(t.Context(), how, name)
			if (err == nil && !res.IsError) != (how == "print" || how == "report") {
				t.Errorf("%s, %s: %v", name, how, err)
			}
		}
	}
	if res, err := r.call(t.Context(), "aws", "aws"); err != nil || res.IsError {
		t.Errorf("the keys of the role do not work: %v\n%s", err, r.said())
	}
	if err := r.client.Close(); err != nil {
		t.Error(err)
	}
	_ = r.cmd.Wait()
	t.Logf("looked at %d bytes for %d secrets in %d forms", r.clean(t), len(newCanaries(t))+1+2*len(r.issued), len(r.scanner.needles))
	if len(r.issued) == 0 {
		t.Error("no keys of a role were issued")
	}
	if got := strings.Count(r.said(), "cannot use [secret:held]"); got < 2*len(credentials) {
		t.Errorf("the record blanked %d secrets: were they in it?", got)
	}
}

func TestNothingThatAHostileServiceAnswersIsRepeated(t *testing.T) {
	t.Parallel()
	r := start(t, true)
	refused := 0
	for _, name := range credentials {
		if _, err := r.call(t.Context(), "quiet", name); err != nil {
			refused++
		}
	}
	if refused != len(credentials)-3 { // a file, a keyring and an age file ask nobody
		t.Errorf("%d refused\n%s", refused, r.said())
	}
	if of, others := r.fake.Requests("AssumeRole")*r.fake.Requests("GetSecretValue")*r.fake.Requests("GetParameter"), r.cloud.requests(); of == 0 || others == 0 {
		t.Errorf("not all services were asked (%d, %d): nobody repeated anything", of, others)
	}
	_ = r.client.Close()
	_ = r.cmd.Wait()
	r.clean(t)
}

func TestNoProcessShowsASecretInEnvironmentOrCommandLine(t *testing.T) {
	t.Parallel()
	r := start(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _, _ = r.call(ctx, "child", "vault-lease") }()
	r.until(t, "the child has ")
	texts, err := Process(r.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) != 4 {
		t.Errorf("%d texts: want those of the server and its child", len(texts))
	}
	for place, text := range texts {
		for _, f := range r.scanner.Scan(place, text) {
			t.Error(f)
		}
		if strings.HasSuffix(place, "cmdline") && len(text) == 0 {
			t.Errorf("%s is empty", place)
		}
	}
	cancel()
	<-done
	_ = r.client.Close()
	_ = r.cmd.Wait()
	r.clean(t)
}

// The control: an environment and a command line that do show one.
func TestASecretInEnvironmentOrCommandLineIsFound(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("reason: looks at /proc")
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("reason: sh is not installed: apt install dash")
	}
	var s Scanner
	inEnv, inArgs := random(32), random(32)
	if err := errors.Join(s.Add("environment", inEnv), s.Add("arguments", inArgs)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), shell, "-c", "echo ready; read -r line", "x", inArgs)
	cmd.Env = []string{"TOKEN=" + inEnv}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	if _, err := out.Read(make([]byte, 16)); err != nil { // it is the shell by now, and no longer this program
		t.Fatal(err)
	}
	texts, err := Process(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	for file, want := range map[string]string{"environ": "environment", "cmdline": "arguments"} {
		path := "/proc/" + pid + "/" + file
		if found := s.Scan(path, texts[path]); len(found) == 0 || found[0].Secret != want {
			t.Errorf("%s: %v", path, found)
		}
	}
}

// Processes that end while they are looked at are no fault.
func TestProcessesThatEndMeanwhile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("reason: looks at /proc")
	}
	ended, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				_ = exec.CommandContext(t.Context(), "true").Run()
			}
		}
	}()
	for range 20 {
		if _, err := Process(os.Getpid()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-ended
}

// The core text: all goroutines of a process that dies with the secret in use.
func TestNoCrashPrintsASecret(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]string{"hold": "SIGQUIT: quit", "crash": "panic: "} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			for _, name := range []string{"file", "aws", "vault-lease", "gcp-token"} {
				r := start(t, false)
				done := make(chan struct{})
				go func() { defer close(done); _, _ = r.call(t.Context(), how, name) }()
				if how == "hold" {
					r.until(t, `"msg":"holding"`)
					if err := r.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
						t.Fatal(err)
					}
				}
				<-done
				_ = r.client.Close()
				if err := r.cmd.Wait(); err == nil {
					t.Error("the server did not crash")
				}
				if said := r.said(); !strings.Contains(said, want) || !strings.Contains(said, "main.tool.have(") {
					t.Errorf("%s: no stack of the call in\n%s", name, said)
				}
				r.clean(t)
			}
		})
	}
}

// The control: what does leak is found, in the same output by the same means.
func TestALeakOfTheServerIsFound(t *testing.T) {
	t.Parallel()
	r := start(t, false)
	for _, name := range credentials {
		before := len(r.said())
		if _, err := r.call(t.Context(), "leak", name); err != nil {
			t.Fatal(err)
		}
		r.until(t, `"msg":"leak","credential":"`+name+`"`)
		if found := r.scanner.Scan("stderr", []byte(r.said()[before:])); len(found) == 0 {
			t.Errorf("%s leaks, and nobody sees it", name)
		}
	}
	_ = r.client.Close()
	_ = r.cmd.Wait()
}
