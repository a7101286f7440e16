//go:build linux && (amd64 || arm64)

package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
)

const targetVariable = "MCPSEC_TEST_TARGET"

// target is a program that ends at once, linked statically: it measures nothing but the
// start of it.
func target(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv(targetVariable); path != "" {
		return path
	}
	dir := asuser.Dir(tb)
	source, path := filepath.Join(dir, "end.go"), filepath.Join(dir, "end")
	text, build := "package main\n\nfunc main() {}\n", []string{"go", "build", "-ldflags=-s -w", "-o", path, source}
	if gcc, err := exec.LookPath("gcc"); err == nil {
		source = filepath.Join(dir, "end.c")
		text, build = "int main(void) { return 0; }\n", []string{gcc, "-static", "-O2", "-o", path, source}
	}
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), build[0], build[1:]...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		tb.Fatal(err)
	}
	return path
}

// ended starts a command and waits for its end.
func ended(tb testing.TB, c *Command) {
	tb.Helper()
	p, err := Start(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	if state, err := p.Wait(); err != nil || !state.Success() {
		tb.Fatalf("%v, %v", state, err)
	}
}

// bubblewrap is the command line that shows a program the same as a profile does.
func bubblewrap(tb testing.TB, c *Command) []string {
	tb.Helper()
	program, err := exec.LookPath("bwrap")
	if err != nil {
		tb.Log("without bubblewrap, which is not installed: apt install bubblewrap")
		return nil
	}
	v, err := newView(c)
	if err != nil {
		tb.Fatal(err)
	}
	args := []string{program, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"}
	for _, e := range v.entries {
		args = append(args, "--ro-bind", e.source, e.target)
	}
	for _, l := range v.links {
		args = append(args, "--symlink", l.to, l.at)
	}
	return append(args, "--remount-ro", "/", "--chdir", "/tmp", c.Path)
}

// interleaved runs each function n times, in turn, and returns the medians and the
// shortest times.
func interleaved(n int, runs ...func()) (medians, shortest []time.Duration) {
	took := make([][]time.Duration, len(runs))
	for range n {
		for i, run := range runs {
			start := time.Now()
			run()
			took[i] = append(took[i], time.Since(start))
		}
	}
	for _, t := range took {
		slices.Sort(t)
		medians, shortest = append(medians, t[n/2]), append(shortest, t[0])
	}
	return medians, shortest
}

// asUser runs a benchmark again as an ordinary user, and reports whether it did.
func asUser(b *testing.B) bool {
	b.Helper()
	if os.Getuid() != 0 {
		return false
	}
	dir := asuser.Dir(b)
	cmd := exec.CommandContext(b.Context(), asuser.Copy(b, dir, "/proc/self/exe"), "-test.run=^$", "-test.benchtime=1x", "-test.bench=^"+b.Name()+"$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir, targetVariable+"="+target(b))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: asuser.UID, Gid: asuser.UID}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for l := range strings.Lines(string(out)) {
		if strings.HasPrefix(l, "Benchmark") {
			fmt.Fprint(os.Stderr, "as an ordinary user: ", l)
		}
	}
	return true
}

// BenchmarkStart measures from start to the end of a program that ends at once, in turn
// with others that start it. Run it with -benchtime=1x.
func BenchmarkStart(b *testing.B) {
	if asUser(b) {
		return
	}
	const n = 100
	full := &Command{Path: target(b), Args: []string{"end"}, Profile: Profile{System: true, Exec: []string{target(b)}}}
	bare := *full
	bare.Allow = WithoutNamespaces
	without := map[Control]error{}
	lose(without, UserNamespace, fmt.Errorf("for the benchmark: %w", syscall.EPERM), host{uid: 1})
	v, err := newView(&bare)
	if err != nil {
		b.Fatal(err)
	}
	h, err := thisHost(0)
	if err != nil {
		b.Fatal(err)
	}
	plain := func() {
		if err := exec.CommandContext(b.Context(), full.Path).Run(); err != nil {
			b.Fatal(err)
		}
	}
	t3 := func() { ended(b, full) }
	t2 := func() {
		p, err := launch(b.Context(), &bare, v, h, without)
		if err != nil {
			b.Fatal(err)
		}
		if state, err := p.Wait(); err != nil || !state.Success() {
			b.Fatalf("%v, %v", state, err)
		}
	}
	// Each pair alone: the kernel takes namespaces away behind whoever comes next.
	report := func(names [2]string, runs ...func()) {
		medians, shortest := interleaved(n, runs...)
		for i := range medians {
			b.ReportMetric(float64(medians[i].Microseconds())/1000, names[i]+"-ms")
			b.ReportMetric(float64(shortest[i].Microseconds())/1000, names[i]+"-min-ms")
		}
	}
	args := bubblewrap(b, full)
	for b.Loop() {
		report([2]string{"plain", "T2"}, plain, t2)
		if args == nil {
			report([2]string{"T3"}, t3)
			continue
		}
		report([2]string{"T3", "bwrap"}, t3, func() {
			if out, err := exec.CommandContext(b.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// TestStartFromALargeHost: what the host has in memory costs its children next to nothing.
func TestStartFromALargeHost(t *testing.T) { //nolint:paralleltest // measures
	if os.Getenv("MCPSEC_LONG") == "" {
		t.Skip("takes 2 GiB of memory: MCPSEC_LONG=1")
	}
	if asuser.Again(t) {
		return
	}
	const n = 100
	path := target(t)
	c := &Command{Path: path, Args: []string{"end"}, Profile: Profile{System: true, Exec: []string{path}}}
	start := func() { ended(t, c) }
	small, smallest := interleaved(n, start)
	memory := make([]byte, 2<<30)
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	large, least := interleaved(n, start)
	runtime.KeepAlive(memory)
	t.Logf("median %v, from 2 GiB %v; shortest %v and %v", small[0], large[0], smallest[0], least[0])
	if least[0] > smallest[0]*3/2 {
		t.Errorf("the shortest start takes %v from a host of 2 GiB, %v before", least[0], smallest[0])
	}
}
