//go:build linux

package telemetry_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/oci"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type events struct {
	mu  sync.Mutex
	all []telemetry.Event
}

func (e *events) add(one telemetry.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, one)
}

func (e *events) has(kind telemetry.Kind, part string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, one := range e.all {
		if one.Kind == kind && strings.Contains(one.String(), part) {
			return true
		}
	}
	return false
}

// The attempts run in a container, and nowhere else.
func TestSeesAttempts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("reason: eBPF needs root")
	}
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skip("reason: runc is not installed: apt install runc")
	}
	var seen events
	backend := telemetry.Around(&oci.Runtime{Dir: asuser.Dir(t)}, seen.add)
	in, toIn, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = toIn.Close() }()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	p, err := backend.Start(t.Context(), &sandbox.Command{
		Path: "/bin/sh", Args: []string{"sh"}, Env: []string{"PATH=/usr/bin:/bin"}, Stdin: in, Stdout: log, Stderr: log,
		Profile: sandbox.Profile{System: true}, Allow: []sandbox.Control{sandbox.LandlockFiles},
	})
	_ = in.Close()
	if err != nil {
		said, _ := os.ReadFile(log.Name())
		t.Fatalf("%v\n%s", err, said)
	}
	const attempts = "/usr/bin/unshare -U true\n/usr/bin/cat /proc/1/environ-not-there\nchmod 777 /proc/sys/kernel\n/usr/bin/bash -c 'echo > /dev/tcp/192.0.2.1/80'\n/bin/cp /bin/true /tmp/t; /tmp/t\nexit\n"
	if _, err := toIn.WriteString(attempts); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Error(err)
	}
	for _, want := range []struct {
		kind telemetry.Kind
		part string
	}{
		{telemetry.Exec, "unshare"}, {telemetry.Exec, "cat"}, {telemetry.Refused, "unshare"}, {telemetry.Refused, `execve "/tmp/t": EACCES`}, {telemetry.Connect, `"192.0.2.1:80": ENETUNREACH`},
	} {
		if !seen.has(want.kind, want.part) {
			t.Errorf("no event %s with %s", want.kind, want.part)
		}
	}
	if t.Failed() {
		said, _ := os.ReadFile(log.Name())
		t.Logf("%s\n%v", said, seen.all)
	}
}

// startsNothing has a process that is not confined.
type startsNothing struct{ killed bool }

func (s *startsNothing) Start(context.Context, *sandbox.Command) (sandbox.Process, error) {
	return s, nil
}
func (s *startsNothing) PID() int                        { return os.Getpid() }
func (s *startsNothing) Report() *sandbox.Report         { return nil }
func (s *startsNothing) Wait() (*os.ProcessState, error) { return nil, errors.New("not called") }
func (s *startsNothing) Signal(os.Signal) error          { return nil }
func (s *startsNothing) Kill(context.Context) error      { s.killed = true; return nil }

func TestWhatCannotBeWatchedIsNotStarted(t *testing.T) {
	t.Parallel()
	b := &startsNothing{}
	if _, err := telemetry.Around(b, func(telemetry.Event) {}).Start(t.Context(), &sandbox.Command{}); err == nil || !b.killed || !strings.Contains(err.Error(), "namespace") {
		t.Errorf("%v, killed %t", err, b.killed)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{}, byte(1))
	raw := make([]byte, 400)
	f.Add(raw, byte(2))
	f.Fuzz(func(_ *testing.T, raw []byte, kind byte) {
		if len(raw) >= 8 {
			binary.NativeEndian.PutUint64(raw, uint64(kind))
		}
		if e, ok := telemetry.Decode(raw); ok {
			_ = e.String()
		}
	})
}

func TestLogTo(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := telemetry.LogTo(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})))
	log(telemetry.Event{Kind: telemetry.Exec, PID: 1, Path: "/bin/true"})
	log(telemetry.Event{Kind: telemetry.Refused, PID: 2, Call: "openat", Errno: "EACCES", Path: "/x\ny"})
	log(telemetry.Event{Kind: telemetry.Lost, Count: 3})
	if got := out.String(); strings.Contains(got, "true") || !strings.Contains(got, `path="/x\ny"`) || !strings.Contains(got, "count=3") || strings.Count(got, "\n") != 2 {
		t.Error(got)
	}
}

func ExampleEvent() {
	fmt.Println(telemetry.Event{Kind: telemetry.Refused, Time: time.Now(), PID: 42, Call: "openat", Path: "/etc/shadow", Errno: "EACCES"})
	// Output: process 42 was refused openat "/etc/shadow": EACCES
}
