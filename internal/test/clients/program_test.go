package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait of a test. It is long because it passes only when a test
// fails, and the machine may be busy.
const patience = time.Minute

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func removeProgram() {
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
}

// program builds the command everything, once.
func program(tb testing.TB) string {
	tb.Helper()
	built.once.Do(func() { built.path, built.err = build() })
	if built.err != nil {
		tb.Fatal(built.err)
	}
	return built.path
}

func build() (string, error) {
	var err error
	if built.dir, err = os.MkdirTemp("", "everything"); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/modelcontextprotocol/go-sdk").Output()
	if err != nil {
		return "", fmt.Errorf("finding the SDK: %w", err)
	}
	fixtures, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "conformance", "everything-server", "main.go"))
	if err != nil {
		return "", err
	}
	renamed := bytes.Replace(fixtures, []byte("\nfunc main() {"), []byte("\nfunc sdkMain() {"), 1)
	if bytes.Equal(renamed, fixtures) {
		return "", fmt.Errorf("the SDK's conformance server has no function main any more")
	}
	copied := filepath.Join(built.dir, "fixtures.go")
	if err := os.WriteFile(copied, renamed, 0o600); err != nil {
		return "", err
	}
	here, err := filepath.Abs("everything")
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, "fixtures.go"): copied}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(built.dir, "overlay.json"), overlay, 0o600); err != nil {
		return "", err
	}
	path := filepath.Join(built.dir, "everything")
	out, err = exec.CommandContext(context.Background(), "go", "build", "-tags", "everything",
		"-overlay", filepath.Join(built.dir, "overlay.json"), "-o", path, "./everything").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building everything: %w: %s", err, out)
	}
	return path, nil
}

// run starts a command that says "ready ADDRESS" on its standard output, and returns the
// address and the process. It is ended with the test, and what it wrote to standard error is
// in the log of a test that failed.
func run(tb testing.TB, cmd *exec.Cmd) (addr string, pid int) {
	tb.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = 5 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	lines := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			if at, ok := strings.CutPrefix(s.Text(), "ready "); ok {
				lines <- at
			}
		}
		close(lines)
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		<-done
		_ = cmd.Wait()
		kill.Stop()
		if tb.Failed() {
			tb.Logf("%s: %s", filepath.Base(cmd.Path), tail(stderr.String()))
		}
	})
	select {
	case addr = <-lines:
	case <-time.After(patience):
	}
	if addr == "" {
		_ = cmd.Process.Kill()
		<-done
		tb.Fatalf("%s did not start: %s", filepath.Base(cmd.Path), stderr.String())
	}
	return addr, cmd.Process.Pid
}

// tail is the end of a long text.
func tail(s string) string {
	const most = 4096
	if len(s) > most {
		return "..." + s[len(s)-most:]
	}
	return s
}
