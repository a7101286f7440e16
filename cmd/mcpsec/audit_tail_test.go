package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/ledger"
)

// tail --follow shows what another process appends, also in a new segment, and ends
// with exit code 0 when it is interrupted.
func TestTailFollowsUntilASignal(t *testing.T) {
	t.Parallel()
	if os.Getenv("PATH") == "" {
		t.Fatal("the test program is looked up on PATH")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := ledger.Open(dir, ledger.Options{Origin: "test/files", SegmentBytes: 700})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	write := func(e *audit.Event) {
		if err := l.Append(ctx, &ledger.Entry{Object: e.AppendJSON(nil), Class: ledger.Require}); err != nil {
			t.Fatal(err)
		}
	}
	write(samples["small"][0])

	cmd := exec.CommandContext(ctx, "mcpsec", "audit", "tail", "--follow", "--dir", dir, "--tool", "search")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	expect := func(what string) {
		if !lines.Scan() || !strings.Contains(lines.Text(), what) {
			t.Fatalf("%q, want %s (%v, %s)", lines.Text(), what, lines.Err(), errs.String())
		}
	}
	expect("call-1")
	for i := range 5 { // each fills a segment
		write(samples["small"][3]) // passed over: another tool
		write(samples["small"][5])
		expect("call-4")
		if i == 4 {
			write(samples["small"][6])
			expect("call-5")
		}
	}
	segments, err := filepath.Glob(filepath.Join(dir, "audit-*.jsonl"))
	if err != nil || len(segments) < 3 {
		t.Errorf("%d segments (%v): the test is about several", len(segments), err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() {
		t.Errorf("after the signal: %q", lines.Text())
	}
	if err := cmd.Wait(); err != nil || errs.Len() > 0 {
		t.Errorf("%v, %q", err, errs.String())
	}
}

// The last records are found across segments, without reading those before.
func TestTailReadsBackwardsBySegment(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "audit")
	writeLedger(t, dir, ledger.Options{SegmentBytes: 4000}, busyDay(60))
	starts, err := segmentStarts(dir)
	if err != nil || len(starts) < 5 {
		t.Fatalf("%d segments, %v", len(starts), err)
	}
	all := runLines(t, "audit", "query", "--json", "--dir", dir)
	for _, n := range []int{1, 7, 20, len(all), len(all) + 5} {
		got := runLines(t, "audit", "tail", "--json", "--dir", dir, "-n", strconv.Itoa(n))
		if want := all[max(0, len(all)-n):]; !slices.Equal(got, want) {
			t.Errorf("-n %d: %d lines that are not the last of %d", n, len(got), len(all))
		}
	}
	// The first segment is spoilt as a whole: the last records do not need it.
	first := filepath.Join(dir, "audit-00000000000000000000.jsonl")
	if err := os.WriteFile(first, bytes.Repeat([]byte("x"), 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := runLines(t, "audit", "tail", "--json", "--dir", dir, "-n", "7"); !slices.Equal(got, all[len(all)-7:]) {
		t.Error("the last records are not those of before")
	}
	var errs bytes.Buffer
	if code := execute(t.Context(), []string{"audit", "query", "--dir", dir}, new(bytes.Buffer), &errs); code != exitFailed {
		t.Errorf("a line without end: exit code %d, %s", code, errs.String())
	}
}

// runLines runs a command that must succeed and returns the lines it prints.
func runLines(t *testing.T, args ...string) []string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := execute(t.Context(), args, &out, &errs); code != exitOK {
		t.Fatalf("%q: exit code %d: %s", args, code, errs.String())
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]string{1: "e", 2: "d e", 5: "a b c d e", 9: "a b c d e"} {
		l := lastLines{limit: limit}
		for s := range strings.FieldsSeq("a b c d e") {
			l.push(s)
		}
		if got := strings.Join(l.list(), " "); got != want {
			t.Errorf("the last %d: %s, want %s", limit, got, want)
		}
		if want := min(limit, 5); l.bytes != want {
			t.Errorf("the last %d: %d bytes, want %d", limit, l.bytes, want)
		}
	}
}

// What cannot be written ends a command: it does not read on for nobody.
func TestAuditOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "audit")
	writeLedger(t, dir, ledger.Options{}, busyDay(100))
	for _, line := range []string{
		"tail -n 100", "tail -n 100 -f", "tail --json", "query", "query --json", "query --calls",
		"query --limit 3", "verify", "verify --json", "report", "report --json", "prove 3",
	} {
		var errs bytes.Buffer
		args := append([]string{"audit"}, strings.Fields(line)...)
		if code := execute(t.Context(), append(args, "--dir", dir), brokenPipe{}, &errs); code != exitFailed {
			t.Errorf("%s: exit code %d, want %d", line, code, exitFailed)
		}
		if !strings.Contains(errs.String(), "no space left") {
			t.Errorf("%s: %q does not say why", line, errs.String())
		}
	}
}

func TestAuditCommandsEndWhenTheyAreAskedTo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "audit")
	writeLedger(t, dir, ledger.Options{}, busyDay(100))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, line := range []string{"query", "query --calls", "report"} {
		var errs bytes.Buffer
		args := append([]string{"audit"}, strings.Fields(line)...)
		if code := execute(ctx, append(args, "--dir", dir), new(bytes.Buffer), &errs); code != exitFailed || !strings.Contains(errs.String(), context.Canceled.Error()) {
			t.Errorf("%s: exit code %d, %s", line, code, errs.String())
		}
	}
	if _, err := (&auditReader{filter: &auditFilter{}}).next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
