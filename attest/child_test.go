package attest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// helper is the first argument of a child process.
const helper = "attest-test-server"

// child is a process of its own: it makes the manifest of a server, serves with one until
// its input ends, or writes to what is sealed.
func child(mode string, args []string) error {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	switch mode {
	case "capture":
		_, err := childServer(attest.Capture(func(m *manifest.Manifest) error { return attest.WriteFile(args[0], m) }))
		return err
	case "serve":
		guard, err := childServer(attest.New(attest.Unsigned(args[0]), attest.Rehash(time.Millisecond)))
		if err != nil {
			return err
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return guard.Close()
	case "overwrite":
		return overwrite()
	}
	return errors.New("unknown mode")
}

func childServer(control mcpsec.Control) (*mcpsec.Guard, error) {
	guard, err := mcpsec.New(control, mcpsec.Settings{AllowMCPGODEBUG: true, OnAlarm: func(a mcpsec.Alarm) { fmt.Println("alarm", a.Code) }})
	if err != nil {
		return nil, err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.2.0"}, nil)
	if err := mcpsec.AddTool(guard, server, noteTool(), readNote); err != nil {
		return nil, err
	}
	err = guard.Install(server)
	return guard, err
}

// overwrite writes into a long schema in place, as a library could that keeps the slice.
func overwrite() error {
	schema := json.RawMessage(`{"type":"object","description":"` + strings.Repeat("long ", 200) + `"}`)
	inv := &mcpsec.Inventory{Server: &mcp.Implementation{Name: "n"}, Tools: []*mcpsec.Tool{{Name: "t", Definition: &mcp.Tool{Name: "t", InputSchema: schema}}}}
	m, err := attest.Snapshot(context.Background(), inv)
	if err != nil {
		return err
	}
	if err := attest.New(attest.Pinned(m)).Seal(context.Background(), inv); err != nil {
		return err
	}
	sealed := inv.Tools[0].Definition.InputSchema.(json.RawMessage)
	fmt.Println("sealed")
	sealed[20] = 'X'
	fmt.Println("written")
	return nil
}

func runChild(t *testing.T, exe string, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), exe, append([]string{helper}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	return out.String(), err
}

// neg 48: a switch in the environment that changes what the SDK writes is a mismatch, and
// the error names it.
func TestEnvironmentSwitch(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "manifest.json")
	if out, err := runChild(t, os.Args[0], []string{"MCPGODEBUG="}, "capture", file); err != nil {
		t.Fatal(err, out)
	}
	if out, err := runChild(t, os.Args[0], []string{"MCPGODEBUG="}, "serve", file); err != nil || !strings.Contains(out, "ready") {
		t.Fatal(err, out)
	}
	out, err := runChild(t, os.Args[0], []string{"MCPGODEBUG=hintomitempty=1"}, "serve", file)
	if err == nil || !strings.Contains(out, `tool "read_note" changed`) || !strings.Contains(out, "MCPGODEBUG=hintomitempty=1 changes") {
		t.Errorf("neg 48: %v: %s", err, out)
	}
}

// program writes a program that no child of another test has open for writing, which would
// keep it from being executed (go.dev/issue/22315).
func program(t *testing.T, path string, image []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, image, 0o700); err != nil {
		t.Fatal(err)
	}
}

// neg 58: the executable is swapped on the disk while it runs. What runs is not affected,
// the alarm rings, and the next start is refused.
func TestExecutableSwapped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	exe, file := filepath.Join(dir, "server"), filepath.Join(dir, "manifest.json")
	image, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program(t, exe, image)
	if out, err := runChild(t, exe, nil, "capture", file); err != nil {
		t.Fatal(err, out)
	}
	cmd := exec.CommandContext(t.Context(), exe, helper, "serve", file)
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
	lines := bufio.NewScanner(out)
	expect := func(want string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
		}
		t.Errorf("the server never said %q: %v", want, lines.Err())
	}
	expect("ready")
	program(t, exe+".new", append(image, 'x'))
	if err := os.Rename(exe+".new", exe); err != nil {
		t.Fatal(err)
	}
	expect("alarm attest.executable_replaced")
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Errorf("what ran did not end well: %v", err)
	}
	if said, err := runChild(t, exe, nil, "serve", file); err == nil || !strings.Contains(said, "the executable is another one") {
		t.Errorf("neg 58: started again: %v: %s", err, said)
	}
}

// A long part of a definition lies in memory that nothing can write to: an attempt ends
// the process, and the change never reaches a client.
func TestLongSchemaCannotBeWritten(t *testing.T) {
	t.Parallel()
	out, err := runChild(t, os.Args[0], nil, "overwrite")
	if err == nil || out != "sealed\n" {
		if strings.Contains(out, "sealed") && !linux() {
			t.Skip("reason: memory is sealed on Linux only")
		}
		t.Errorf("neg 43: %v: %q", err, out)
	}
}
