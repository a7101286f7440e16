//go:build linux

package stdio_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// mode makes the test binary be something else than a test.
const mode = "MCPSEC_TEST_MODE"

// TestMain lets the test binary be a server on standard input and output, good or bad.
func TestMain(m *testing.M) {
	if run, ok := modes[os.Getenv(mode)]; ok {
		if err := run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

var modes = map[string]func() error{
	"serve": func() error { return serve() },
	"stray": func() error {
		fmt.Println("Server listening, have fun!")
		return serve()
	},
	"printing": func() error { return serve(stdio.MaxLine(1 << 16)) },
	"noisy": func() error {
		line := strings.Repeat("all work and no play ", 50) + "\n"
		for range 20 << 10 { // 20 MiB
			fmt.Fprint(os.Stderr, line)
		}
		fmt.Fprintln(os.Stderr, "the last line")
		return serve()
	},
	"flood": func() error {
		part := bytes.Repeat([]byte("a"), 1<<20)
		for range 1 << 10 { // 1 GiB without a line end
			if _, err := os.Stdout.Write(part); err != nil {
				return err
			}
		}
		return nil
	},
	"garbage": func() error { return say(`{"jsonrpc":"2.0","id":1,"result":{},"result":{"x":1}}`) },
	"batch":   func() error { return say(`[{"jsonrpc":"2.0","method":"ping","id":1}]`) },
	"folded":  func() error { return say(`{"jsonrpc":"2.0","id":1,"Result":{}}`) },
	"cut": func() error {
		_, err := os.Stdout.WriteString(`{"jsonrpc":"2.0",`)
		return err
	},
	"exit": func() error { return errors.New("no configuration") },
	"stubborn": func() error {
		signal.Ignore(syscall.SIGTERM)
		if err := serve(); err != nil {
			return err
		}
		forever() // its input has ended
		return nil
	},
	"children": func() error { // one that lives on holds the pipes
		child := exec.Command("/proc/self/exe") // the path in the arguments is the sandbox's
		child.Env = append(os.Environ(), mode+"=sleep")
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return err
		}
		return serve()
	},
	"parent": func() error {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), mode+"=serve")
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		return child.Run()
	},
	"quiet": func() error { _ = serve(); return nil },
	"deaf": func() error { // answers the handshake and reads no more
		in := bufio.NewReader(os.Stdin)
		for range 2 {
			line, err := in.ReadString('\n')
			if err != nil {
				return err
			}
			var m struct {
				ID     any    `json:"id"`
				Method string `json:"method"`
			}
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				return err
			}
			fmt.Fprintln(os.Stderr, m.Method)
			switch m.Method {
			case "initialize":
				fmt.Printf(`{"jsonrpc":"2.0","id":%v,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"deaf","version":"1"}}}`+"\n", m.ID)
			case "notifications/initialized":
			default:
				fmt.Printf(`{"jsonrpc":"2.0","id":%v,"error":{"code":-32601,"message":"no"}}`+"\n", m.ID)
				if _, err := in.ReadString('\n'); err == nil { // initialize
					fmt.Printf(`{"jsonrpc":"2.0","id":2,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"deaf","version":"1"}}}` + "\n")
				}
			}
		}
		forever()
		return nil
	},
	"sleep": func() error {
		signal.Ignore(syscall.SIGTERM)
		forever()
		return nil
	},
}

// forever waits. An empty select is a deadlock to the runtime, which ends the process.
func forever() {
	for {
		<-time.After(time.Hour)
	}
}

func say(line string) error {
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	_, err := fmt.Println(line)
	if err == nil {
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	return err
}

type none struct{}

// serve offers tools that tell what a test wants to know.
func serve(opts ...stdio.Option) error {
	type key struct{}
	tell := mcpsec.At(mcpsec.StageAudit, "tell", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			fmt.Fprintln(os.Stderr, "call", call.Method, call.Principal.Key())
			return next(context.WithValue(ctx, key{}, call.Principal.Key()), call)
		}
	}))
	guard, err := mcpsec.New(tell)
	if err != nil {
		return err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "whoami", Version: "1"}, nil)
	add := func(name string, answer func(context.Context) string) error {
		return mcpsec.AddTool(guard, server, &mcp.Tool{Name: name}, func(ctx context.Context, _ *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: answer(ctx)}}}, nil, nil
		})
	}
	if err := errors.Join(
		add("whoami", func(ctx context.Context) string { return ctx.Value(key{}).(string) }),
		add("environment", func(context.Context) string { return strings.Join(os.Environ(), "\n") }),
		add("arguments", func(context.Context) string { return strings.Join(os.Args, "\n") }),
		add("where", func(context.Context) string { dir, err := os.Getwd(); return fmt.Sprint(dir, err) }),
		add("print", func(context.Context) string {
			fmt.Println(`{"jsonrpc":"2.0","method":"notifications/message"`)
			out, err := exec.Command(os.Args[0]).CombinedOutput() // inherits nothing
			_, _ = syscall.Write(1, []byte("raw\n"))
			return fmt.Sprint(len(out) > 0, err != nil)
		}),
		guard.Install(server),
	); err != nil {
		return err
	}
	return stdio.Serve(context.Background(), guard, server, opts...)
}

// plain is a backend without a sandbox, for what the launcher does by itself.
type plain struct {
	mu      sync.Mutex
	started int
	last    *sandbox.Command
	report  *sandbox.Report // nil: everything is in force
	kill    error
}

func (b *plain) Start(ctx context.Context, c *sandbox.Command) (sandbox.Process, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.started++
	b.last = c
	outside := func(path string) string {
		for _, m := range c.Mounts {
			if rest, ok := strings.CutPrefix(path, m.Target); ok {
				return m.Source + rest
			}
		}
		return path
	}
	cmd := &exec.Cmd{
		Path: outside(c.Path), Args: c.Args, Env: c.Env, Dir: outside(c.Profile.Dir), Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if c.Program != nil {
		cmd.Path, cmd.ExtraFiles = "/proc/self/fd/3", []*os.File{c.Program}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &plainProcess{cmd: cmd, backend: b}, nil
}

type plainProcess struct {
	cmd     *exec.Cmd
	backend *plain
}

func (p *plainProcess) PID() int { return p.cmd.Process.Pid }

func (p *plainProcess) Report() *sandbox.Report {
	if p.backend.report != nil {
		return p.backend.report
	}
	return &sandbox.Report{Schema: 1, Tier: sandbox.T0, Mechanism: "plain"}
}

func (p *plainProcess) Wait() (*os.ProcessState, error) {
	err := p.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
	}
	return p.cmd.ProcessState, err
}

func (p *plainProcess) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

func (p *plainProcess) Kill(context.Context) error {
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return p.backend.kill
}

// events collects what a launch tells.
type events struct {
	mu   sync.Mutex
	list []stdio.Event
}

func (e *events) tell(event stdio.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

func (e *events) of(kind stdio.Kind) (found []stdio.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.list {
		if event.Kind == kind {
			found = append(found, event)
		}
	}
	return found
}

// self is the digest of the test binary.
var self = sync.OnceValue(func() string {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		panic(err)
	}
	return hex.EncodeToString(h.Sum(nil))
})

// launch is the test binary in some mode, without a sandbox.
func launch(tb testing.TB, as string) (*stdio.Launch, *plain, *events) {
	tb.Helper()
	backend, told := &plain{}, &events{}
	path, err := os.Executable()
	must(tb, err)
	return &stdio.Launch{
		Command: []string{path}, Artifact: stdio.Program{SHA256: self()}, Profile: sandbox.Profile{System: true},
		Env: []string{mode + "=" + as}, Backend: backend, Events: told.tell, Grace: time.Minute,
	}, backend, told
}

func connect(tb testing.TB, l mcp.Transport) (*mcp.ClientSession, error) {
	tb.Helper()
	return mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(tb.Context(), l, nil)
}

// session connects and closes at the end.
func session(tb testing.TB, l *stdio.Launch) *mcp.ClientSession {
	tb.Helper()
	s, err := connect(tb, l)
	if err != nil {
		tb.Fatalf("%v\n%s", err, l.Stderr())
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("%v\n%s", err, l.Stderr())
		}
	})
	return s
}

func call(tb testing.TB, s *mcp.ClientSession, tool string, args map[string]any) string {
	tb.Helper()
	text, failed := answer(tb, s, tool, args)
	if failed {
		tb.Fatalf("%s: %s", tool, text)
	}
	return text
}

// tried wants the tool to fail and returns why it did.
func tried(tb testing.TB, s *mcp.ClientSession, tool string, args map[string]any) string {
	tb.Helper()
	text, failed := answer(tb, s, tool, args)
	if !failed {
		tb.Errorf("%s %v: %s", tool, args, text)
	}
	return text
}

func answer(tb testing.TB, s *mcp.ClientSession, tool string, args map[string]any) (string, bool) {
	tb.Helper()
	res, err := s.CallTool(tb.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		tb.Fatalf("%s: %v", tool, err)
	}
	var text strings.Builder
	for _, c := range res.Content {
		if c, ok := c.(*mcp.TextContent); ok {
			text.WriteString(c.Text)
		}
	}
	return text.String(), res.IsError
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	must(tb, os.MkdirAll(filepath.Dir(path), 0o755))
	must(tb, os.WriteFile(path, []byte(text), 0o755))
}
