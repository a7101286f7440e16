//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpsec/mcpsec-go/audit/ledger"
)

// A log ten times as long takes no more memory. The commands run as programs of their
// own, and the system says how much each had at most.
func TestMemoryDoesNotGrowWithTheLog(t *testing.T) {
	t.Parallel()
	long := 100_000 // calls, about 200,000 records
	if raceDetector {
		long = 10_000 // ten times as slow, and its own memory counts
	}
	short, tenfold := filepath.Join(t.TempDir(), "audit"), filepath.Join(t.TempDir(), "audit")
	writeLedger(t, short, ledger.Options{}, busyDay(long/10))
	writeLedger(t, tenfold, ledger.Options{}, busyDay(long))
	for _, line := range []string{"verify", "tail --tool nothing", "query --calls --json", "report", "prove 7"} {
		before, _ := peak(t, short, line)
		after, took := peak(t, tenfold, line)
		t.Logf("%-20s %3d MiB for %d calls, %3d MiB for %d, %v", line, before>>20, long/10, after>>20, long, took)
		if after > before+before/2+(16<<20) {
			t.Errorf("%s: %d MiB for a short log, %d MiB for a long one", line, before>>20, after>>20)
		}
	}
}

// peak runs an audit command and returns the memory it had at most, in bytes, and its time.
func peak(t *testing.T, dir, line string) (int64, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "mcpsec", append(append([]string{"audit"}, strings.Fields(line)...), "--dir", dir)...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, errs.String())
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("the system does not say how much memory was used")
	}
	return usage.Maxrss << 10, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).String()
}
