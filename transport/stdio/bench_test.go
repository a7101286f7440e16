//go:build linux

package stdio_test

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// inTheSandbox is the test binary in some mode, in the real sandbox.
func inTheSandbox(tb testing.TB, as string) *stdio.Launch {
	tb.Helper()
	path, err := os.Executable()
	must(tb, err)
	return &stdio.Launch{
		Command: []string{path}, Artifact: stdio.Program{SHA256: self()}, Profile: sandbox.Profile{System: true},
		Env: []string{mode + "=" + as}, Events: func(stdio.Event) {}, Grace: time.Minute,
	}
}

// BenchmarkPing is a round trip to the same server by the SDK's own pipes, launched without
// a sandbox, and confined, in turns: what counts is the difference of the medians, and the
// goal is at most 2 microseconds.
func BenchmarkPing(b *testing.B) {
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), mode+"=serve")
	launched, _, _ := launch(b, "serve")
	ways := []struct {
		name      string
		transport mcp.Transport
		session   *mcp.ClientSession
		took      []time.Duration
	}{
		{name: "plain", transport: &mcp.CommandTransport{Command: cmd}},
		{name: "launched", transport: launched},
		{name: "confined", transport: inTheSandbox(b, "serve")},
	}
	for i := range ways {
		s, err := connect(b, ways[i].transport)
		must(b, err)
		b.Cleanup(func() { _ = s.Close() })
		ways[i].session = s
	}
	for round := 0; b.Loop(); round++ {
		for i := range ways {
			w := &ways[(i+round)%len(ways)] // nobody is always first
			begin := time.Now()
			if err := w.session.Ping(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
			w.took = append(w.took, time.Since(begin))
		}
	}
	for _, w := range ways {
		slices.Sort(w.took)
		b.ReportMetric(float64(w.took[len(w.took)/2].Nanoseconds()), w.name+"-ns")
	}
}

// A server that waits for its client must not turn in a loop.
func TestAServerThatWaitsCostsNothing(t *testing.T) {
	t.Parallel()
	l, _, told := launch(t, "serve")
	s := session(t, l)
	call(t, s, "whoami", nil)
	pid := told.of(stdio.Started)[0].PID
	const span, spans = 400 * time.Millisecond, 10
	var spent time.Duration
	for range spans { // it may still be at its last answer in the first; a loop turns in all
		before := processorTime(t, pid)
		<-time.After(span) // what is measured is what happens meanwhile
		if spent = processorTime(t, pid) - before; spent <= span/4 {
			return
		}
	}
	t.Errorf("%v of processor time in the last %v of %d", spent, span, spans)
}

// processorTime is what a process has used so far, of its own and of the kernel's.
func processorTime(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	must(tb, err)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const user, kernel = 11, 12 // from the state on
	ticks := 0
	for _, i := range []int{user, kernel} {
		n, err := strconv.Atoi(fields[i])
		must(tb, err)
		ticks += n
	}
	return time.Duration(10*ticks) * time.Millisecond // USER_HZ is 100 on every architecture of Go's
}
