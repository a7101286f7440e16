package stdio_test

import (
	"archive/zip"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// confined is a launch in the real sandbox.
func confined(tb testing.TB, artifact stdio.Artifact, command ...string) (*stdio.Launch, *events) {
	tb.Helper()
	told := &events{}
	return &stdio.Launch{Command: command, Artifact: artifact, Events: told.tell, Grace: time.Minute}, told
}

// strictly wants every required control in force and seen from outside.
func strictly(tb testing.TB, l *stdio.Launch) {
	tb.Helper()
	report := l.Report()
	if report.Tier != sandbox.T3 {
		tb.Errorf("tier %s", report.Tier)
	}
	for _, f := range report.Controls {
		if f.Required && (!f.InForce || !f.Verified) && f.Control != sandbox.Artifact {
			tb.Errorf("%+v", f)
		}
	}
}

func TestAGoServerInTheSandbox(t *testing.T) {
	asuser.Again(t) // and, where the caller is root, as root
	path, err := os.Executable()
	must(t, err)
	for name, artifact := range map[string]stdio.Artifact{
		"sealed memory": stdio.Program{SHA256: self()},
		"private copy":  stdio.Program{SHA256: self(), PrivateCopy: true},
	} {
		t.Run(name, func(t *testing.T) {
			l, told := confined(t, artifact, path)
			l.Profile.System, l.Env = true, []string{mode + "=serve"}
			s := session(t, l)
			strictly(t, l)
			if who := call(t, s, "whoami", nil); !strings.Contains(who, "uid:") {
				t.Error(who)
			}
			for env := range strings.SplitSeq(call(t, s, "environment", nil), "\n") {
				if strings.Contains(env, filepath.Dir(path)) {
					t.Errorf("a path of the host: %s", env)
				}
			}
			must(t, s.Close())
			if len(told.of(stdio.Ended)) != 1 {
				t.Errorf("events %v", told.list)
			}
		})
	}
}

// npm is a folder into which the servers were installed: make npm-servers.
func npm(tb testing.TB) (dir, node string) {
	tb.Helper()
	dir = os.Getenv("MCPSEC_NPM_SERVERS")
	if dir == "" {
		dir, _ = filepath.Abs("../../.cache/npm-servers")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		tb.Skip("reason: the servers are not installed: make npm-servers")
	}
	node = "/usr/bin/node"
	if _, err := os.Stat(node); err != nil {
		tb.Skip("reason: node is not installed: apt install nodejs")
	}
	return dir, node
}

// A script is what is asked of a server, and what the answer contains.
type script []struct {
	tool string
	args map[string]any
	want string
}

func TestServersOfOthersInTheSandbox(t *testing.T) {
	if os.Getuid() == 0 { // the ordinary user cannot read what root has cached
		if dir, _ := npm(t); os.Getenv("MCPSEC_NPM_SERVERS") == "" {
			readable := asuser.Dir(t)
			if out, err := exec.Command("cp", "-r", dir+"/node_modules", readable).CombinedOutput(); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			t.Setenv("MCPSEC_NPM_SERVERS", readable)
		}
	}
	if asuser.Again(t) {
		return
	}
	dir, node := npm(t)
	sum, err := stdio.SumTree(t.Context(), dir)
	must(t, err)
	artifact := stdio.Tree{Dir: dir, Sum: sum, Interpreter: stdio.System{}}
	work := t.TempDir()
	write(t, filepath.Join(work, "notes.txt"), "the notes")
	pkg := "node_modules/@modelcontextprotocol/"
	for name, test := range map[string]struct { // of which "everything" does not end with its input
		args   []string
		env    []string
		write  []string
		script script
	}{
		"filesystem": {[]string{pkg + "server-filesystem/dist/index.js", work}, nil, []string{work}, script{
			{"read_text_file", map[string]any{"path": filepath.Join(work, "notes.txt")}, "the notes"},
			{"write_file", map[string]any{"path": filepath.Join(work, "new.txt"), "content": "written"}, "Successfully"},
			{"list_directory", map[string]any{"path": work}, "new.txt"},
		}},
		"memory": {[]string{pkg + "server-memory/dist/index.js"}, []string{"MEMORY_FILE_PATH=" + filepath.Join(work, "memory.jsonl")}, []string{work}, script{
			{"create_entities", map[string]any{"entities": []any{map[string]any{"name": "Ada", "entityType": "person", "observations": []any{"writes programs"}}}}, "Ada"},
			{"search_nodes", map[string]any{"query": "programs"}, "Ada"},
		}},
		"everything": {[]string{pkg + "server-everything/dist/index.js", "stdio"}, nil, nil, script{
			{"echo", map[string]any{"message": "hello"}, "hello"},
			{"get-sum", map[string]any{"a": 20, "b": 22}, "42"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := confined(t, artifact, append([]string{node}, test.args...)...)
			l.Profile = sandbox.Profile{System: true, Write: test.write}
			l.Env, l.Grace = test.env, 10*time.Second
			if name == "everything" {
				l.Grace = 200 * time.Millisecond
			}
			play(t, l, test.script)
		})
	}
}

func play(t *testing.T, l *stdio.Launch, lines script) {
	t.Helper()
	s, err := connect(t, l)
	if err != nil {
		t.Fatalf("%v\n%s", err, l.Stderr())
	}
	defer func() {
		if err := s.Close(); err != nil && !strings.Contains(err.Error(), "did not end within 200ms") {
			t.Errorf("%v\n%s", err, l.Stderr())
		}
	}()
	strictly(t, l)
	tools, err := s.ListTools(t.Context(), &mcp.ListToolsParams{})
	if err != nil || len(tools.Tools) == 0 {
		t.Fatalf("%v: %v", tools, err)
	}
	for _, line := range lines {
		if got := call(t, s, line.tool, line.args); !strings.Contains(got, line.want) {
			t.Errorf("%s: %s, want %s", line.tool, got, line.want)
		}
	}
}

// python is a folder with the server of testdata, and its sum.
func python(tb testing.TB) stdio.Artifact {
	tb.Helper()
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		tb.Skip("reason: python3 is not installed: apt install python3-minimal")
	}
	dir := tb.TempDir()
	write(tb, filepath.Join(dir, "server.py"), pythonServer)
	sum, err := stdio.SumTree(tb.Context(), dir)
	must(tb, err)
	return stdio.Tree{Dir: dir, Sum: sum, Interpreter: stdio.System{}}
}

//go:embed testdata/server.py
var pythonServer string

func TestAPythonServerInTheSandbox(t *testing.T) {
	asuser.Again(t) // and, where the caller is root, as root
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "secret")
	l, _ := confined(t, python(t), "/usr/bin/python3", "-u", "server.py")
	l.Profile.System = true
	play(t, l, script{
		{"echo", map[string]any{"text": "hello"}, "hello"},
		{"read", map[string]any{"path": secret}, "FileNotFoundError"},
		{"read", map[string]any{"path": "/etc/shadow"}, "FileNotFoundError"},
		{"read", map[string]any{"path": "/app/server.py"}, "TOOLS"},
		{"temp", map[string]any{}, "temporary"},
		{"thread", map[string]any{}, "from a thread"},
	})
}

// pipInstalled is a folder into which pip has installed a package that serves, from a wheel
// that is made here, and its sum.
func pipInstalled(t *testing.T) stdio.Artifact {
	t.Helper()
	const variable = "MCPSEC_TEST_WHEEL"
	dir := os.Getenv(variable)
	if dir == "" {
		pip := exec.CommandContext(t.Context(), "/usr/bin/python3", "-m", "pip", "--version")
		if out, err := pip.CombinedOutput(); err != nil {
			t.Skipf("reason: pip is not installed: apt install python3-pip: %s", out)
		}
		dir = filepath.Join(asuser.Dir(t), "app")
		wheel := filepath.Join(t.TempDir(), "greeter-1.0-py3-none-any.whl")
		writeWheel(t, wheel, map[string]string{
			"greeter/__init__.py":                 "",
			"greeter/words.py":                    "HELLO = 'installed by pip'\n",
			"greeter/__main__.py":                 "from greeter.words import HELLO\n" + strings.Replace(pythonServer, `args["text"]`, `HELLO + ": " + args["text"]`, 1),
			"greeter-1.0.dist-info/METADATA":      "Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n",
			"greeter-1.0.dist-info/WHEEL":         "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
			"greeter-1.0.dist-info/RECORD":        "greeter/__init__.py,,\ngreeter/words.py,,\ngreeter/__main__.py,,\n",
			"greeter-1.0.dist-info/top_level.txt": "greeter\n",
		})
		pip = exec.CommandContext(t.Context(), "/usr/bin/python3", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--root-user-action=ignore", "--target", dir, wheel)
		if out, err := pip.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Setenv(variable, dir)
	}
	sum, err := stdio.SumTree(t.Context(), dir)
	must(t, err)
	return stdio.Tree{Dir: dir, Sum: sum, Interpreter: stdio.System{}}
}

func writeWheel(t *testing.T, path string, files map[string]string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	w := zip.NewWriter(f)
	for name, text := range files {
		entry, err := w.Create(name)
		must(t, err)
		_, err = entry.Write([]byte(text))
		must(t, err)
	}
	must(t, w.Close())
	must(t, f.Close())
}

// A server that was installed by pip, ahead, runs unchanged.
func TestAServerInstalledByPipInTheSandbox(t *testing.T) {
	app := pipInstalled(t)
	asuser.Again(t) // and, where the caller is root, as root
	l, _ := confined(t, app, "/usr/bin/python3", "-u", "-m", "greeter")
	l.Profile.System = true
	play(t, l, script{
		{"echo", map[string]any{"text": "hello"}, "installed by pip: hello"},
		{"read", map[string]any{"path": "/etc/shadow"}, "FileNotFoundError"},
		{"thread", map[string]any{}, "from a thread"},
	})
}

// built is a program of testdata without cgo, built by whoever has the Go tool.
func built(t *testing.T, name string) string {
	t.Helper()
	const variable = "MCPSEC_TEST_BUILT"
	if path := os.Getenv(variable); path != "" {
		return path
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("reason: the Go tool is not installed: apt install golang")
	}
	path := filepath.Join(asuser.Dir(t), name)
	cmd := exec.CommandContext(t.Context(), goTool, "build", "-o", path, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv(variable, path)
	return path
}

// A server confines itself before the first message.
func TestServeConfinesItself(t *testing.T) {
	path := built(t, "confined")
	if asuser.Again(t) {
		return
	}
	readable := filepath.Join(t.TempDir(), "readable")
	write(t, readable, "text")
	cmd := exec.CommandContext(t.Context(), path, readable)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	s, err := connect(t, &mcp.CommandTransport{Command: cmd})
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	want := "readable: text\n/etc/passwd: permission denied\ndial: permission denied\nexec: permission denied\n"
	if got := call(t, s, "try", nil); got != want {
		t.Errorf("%s\n%s", got, stderr.String())
	}
	if err := s.Close(); err != nil {
		t.Errorf("%v\n%s", err, stderr.String())
	}
}
