//go:build linux

package stdio_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

func TestLaunch(t *testing.T) {
	t.Parallel()
	l, _, told := launch(t, "serve")
	s := session(t, l)
	if got := call(t, s, "whoami", nil); !strings.Contains(got, "uid:") {
		t.Error(got)
	}
	report := l.Report()
	if report == nil || report.Artifact != "sha256:"+self() {
		t.Fatalf("report %+v", report)
	}
	i := slices.IndexFunc(report.Controls, func(f sandbox.Finding) bool { return f.Control == sandbox.Artifact })
	if f := report.Controls[i]; !f.InForce || !f.Verified || !f.Required || f.Mechanism != "sealed memory" {
		t.Errorf("%+v", f)
	}
	must(t, s.Close())
	if started, ended := told.of(stdio.Started), told.of(stdio.Ended); len(started) != 1 || len(ended) != 1 || started[0].Report != report || started[0].PID == 0 {
		t.Errorf("events %v", told.list)
	}
	if _, err := connect(t, l); err == nil || !strings.Contains(err.Error(), "one connection") {
		t.Errorf("connected twice: %v", err)
	}
}

func TestAServerThatBreaksTheFramingEndsTheSession(t *testing.T) {
	t.Parallel()
	for as, want := range map[string]string{
		"stray":   "standard error only",
		"garbage": "standard error only",
		"batch":   "batches are not accepted",
		"folded":  "standard error only",
		"flood":   "more than 4194304 bytes",
		"cut":     "ended within line 1",
	} {
		t.Run(as, func(t *testing.T) {
			t.Parallel()
			l, _, told := launch(t, as)
			_, err := connect(t, l)
			if err == nil {
				t.Fatal("a session")
			}
			broken := told.of(stdio.Broken)
			if len(broken) != 1 || !strings.Contains(broken[0].Detail, want) {
				t.Errorf("%v: events %v", err, told.list)
			}
			if len(told.of(stdio.Ended)) != 1 {
				t.Error("not ended")
			}
		})
	}
}

// A gibibyte without a line end costs no more than the longest line.
func TestAFloodCostsBoundedMemory(t *testing.T) {
	l, _, told := launch(t, "flood")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := connect(t, l); err == nil {
		t.Fatal("a session")
	}
	runtime.ReadMemStats(&after)
	if len(told.of(stdio.Broken)) != 1 {
		t.Errorf("events %v", told.list)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

func TestAFloodOnStandardErrorBlocksNothing(t *testing.T) {
	t.Parallel()
	l, _, _ := launch(t, "noisy")
	lines := 0
	l.OnStderr = func(line string) {
		if lines++; len(line) > 4096 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	s := session(t, l)
	call(t, s, "whoami", nil)
	must(t, s.Close())
	if kept := l.Stderr(); len(kept) > 64<<10 || !strings.Contains(string(kept), "the last line") {
		t.Errorf("%d bytes are kept", len(kept))
	}
	if lines < 20<<10 {
		t.Errorf("%d lines were told", lines)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	for as, want := range map[string]string{
		"serve":    "",
		"stubborn": "was killed",
		"children": "",
	} {
		t.Run(as, func(t *testing.T) {
			t.Parallel()
			l, _, told := launch(t, as)
			if as == "stubborn" {
				l.Grace = 200 * time.Millisecond
			}
			s, err := connect(t, l)
			must(t, err)
			err = s.Close()
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%v", err)
			}
			if len(told.of(stdio.Ended)) != 1 {
				t.Errorf("events %v", told.list)
			}
		})
	}
}

func TestCloseSaysWhatItCouldNotDo(t *testing.T) {
	t.Parallel()
	l, backend, _ := launch(t, "serve")
	backend.kill = errors.New("two processes are left")
	s, err := connect(t, l)
	must(t, err)
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "confirm that no process is left: two processes are left") {
		t.Error(err)
	}
}

func TestAServerThatEndsByItself(t *testing.T) {
	t.Parallel()
	l, _, told := launch(t, "exit")
	if _, err := connect(t, l); err == nil {
		t.Fatal("a session")
	}
	if ended := told.of(stdio.Ended); len(ended) != 1 || ended[0].Detail != "exit status 1" {
		t.Errorf("events %v", told.list)
	}
	if !strings.Contains(string(l.Stderr()), "no configuration") {
		t.Errorf("%q", l.Stderr())
	}
}

// The context of Connect bounds the start and not the server.
func TestTheContextBoundsTheStartOnly(t *testing.T) {
	t.Parallel()
	l, _, _ := launch(t, "serve")
	ctx, cancel := context.WithCancel(t.Context())
	s, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(ctx, l, nil)
	must(t, err)
	cancel()
	call(t, s, "whoami", nil)
	must(t, s.Close())

	l, backend, _ := launch(t, "serve")
	if _, err := l.Connect(ctx); !errors.Is(err, context.Canceled) || backend.started != 0 {
		t.Errorf("%v, started %d", err, backend.started)
	}
}

func TestAControlThatIsNotInForce(t *testing.T) {
	t.Parallel()
	without := &sandbox.Report{Controls: []sandbox.Finding{{Control: sandbox.Seccomp, Wanted: true, Required: true, Detail: "the kernel has none", Remedy: "build one"}}}
	l, backend, told := launch(t, "serve")
	backend.report = without
	if _, err := connect(t, l); err == nil || !strings.Contains(err.Error(), `control "seccomp" is not in force: the kernel has none build one`) {
		t.Fatal(err)
	}
	if len(told.of(stdio.Refused)) != 1 || len(told.of(stdio.Ended)) != 1 || l.Report() != nil {
		t.Errorf("events %v", told.list)
	}
	l, backend, told = launch(t, "serve")
	backend.report, l.Allow = without, []sandbox.Control{sandbox.Seccomp}
	session(t, l)
	if d := told.of(stdio.Degraded); len(d) != 1 || d[0].Control != sandbox.Seccomp {
		t.Errorf("events %v", told.list)
	}
}

func TestLaunchRefusesMisuse(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*stdio.Launch){
		"no command":         func(l *stdio.Launch) { l.Command = nil },
		"an empty program":   func(l *stdio.Launch) { l.Command = []string{""} },
		"a zero byte":        func(l *stdio.Launch) { l.Command = append(l.Command, "a\x00b") },
		"endless arguments":  func(l *stdio.Launch) { l.Command = append(l.Command, make([]string, 2000)...) },
		"a long argument":    func(l *stdio.Launch) { l.Command = append(l.Command, strings.Repeat("x", 1<<20)) },
		"a negative line":    func(l *stdio.Launch) { l.MaxLine = -1 },
		"a negative grace":   func(l *stdio.Launch) { l.Grace = -1 },
		"no artifact":        func(l *stdio.Launch) { l.Artifact = nil },
		"a host that is bad": func(l *stdio.Launch) { l.Profile.Egress = []string{"http://x/"} },
		"dynamically linked": func(l *stdio.Launch) {
			l.Command, l.Artifact, l.Profile.System = []string{"/bin/ls"}, stdio.System{}, false
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, backend, told := launch(t, "serve")
			spoil(l)
			_, err := l.Connect(t.Context())
			if err == nil || backend.started != 0 || !strings.HasPrefix(err.Error(), "stdio: ") {
				t.Errorf("%v, started %d", err, backend.started)
			}
			if len(told.of(stdio.Refused)) != 1 {
				t.Errorf("events %v", told.list)
			}
		})
	}
}

func TestALaunchPrintsNoValues(t *testing.T) {
	t.Parallel()
	l, _, _ := launch(t, "serve")
	l.Env = append(l.Env, "API_TOKEN=hunter2")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(format, l); strings.Contains(text, "hunter2") || !strings.Contains(text, "stdio.Launch") {
			t.Error(text)
		}
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	descriptors := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("reason: no /proc")
		}
		return len(list)
	}
	before := -1
	for i := range 20 {
		l, _, _ := launch(t, "serve")
		l.Artifact = stdio.Program{SHA256: self(), PrivateCopy: i%4 == 0}
		s, err := connect(t, l)
		must(t, err)
		must(t, s.Close())
		if i == 3 {
			before = descriptors()
		}
	}
	if after := descriptors(); after > before {
		t.Errorf("%d descriptors became %d", before, after)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
