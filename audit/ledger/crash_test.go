package ledger

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// crashDir names the folder in which a child of the crash test writes.
const crashDir = "MCPSEC_LEDGER_CRASH_DIR"

const (
	crashRounds  = 200
	crashWriters = 6
)

func crashOptions() Options {
	return Options{SegmentBytes: 96 << 10, Linger: time.Millisecond, Calls: crashCalls}
}

// crashCalls finds the call in a record of the crash test.
func crashCalls(record []byte) (opens, closes string) {
	_, after, ok := bytes.Cut(record, []byte(`,"id":"`))
	if !ok {
		return "", ""
	}
	id, _, _ := bytes.Cut(after, []byte{'"'})
	if bytes.Contains(record, []byte(`"attempt"`)) {
		return string(id), ""
	}
	return "", string(id)
}

// crashChild writes at full speed until it is killed. What the ledger has
// acknowledged, it says on standard output.
func crashChild(dir string) {
	l, err := Open(dir, crashOptions())
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var out sync.Mutex
	said := bufio.NewWriter(os.Stdout)
	padding := strings.Repeat("x", 256)
	run := strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	for w := range crashWriters {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", run, w, i)
				for _, event := range []string{"attempt", "outcome"} {
					e := &Entry{Object: fmt.Appendf(nil, `{"event":%q,"id":%q,"p":%q}`, event, id, padding), Class: Class(i % 2)}
					if event == "attempt" {
						e.Opens = id
					} else {
						e.Closes = id
					}
					if err := l.Append(context.Background(), e); err != nil {
						fmt.Println("error", err)
						os.Exit(1)
					}
					if e.Class == Require {
						out.Lock()
						fmt.Fprintf(said, "%s %s\n", event, id)
						_ = said.Flush()
						out.Unlock()
					}
				}
			}
		}()
	}
	select {}
}

func TestKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	acked := make(map[string]bool)
	torn := 0
	for round := range crashRounds {
		for _, line := range crashOnce(t, dir, time.Duration(rand.IntN(int(30*time.Millisecond)))) {
			acked[line] = true
		}
		onDisk, open, cut := crashRead(t, dir)
		if cut {
			torn++
		}
		for line := range acked {
			if !onDisk[line] {
				t.Fatalf("round %d: %q was acknowledged and is not in the log", round, line)
			}
		}
		clear(acked) // they are there; the next rounds add others
		l, err := Open(dir, crashOptions())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		found := make(map[string]bool)
		for _, u := range l.Unfinished() {
			found[u.ID] = true
			e := &Entry{Object: fmt.Appendf(nil, `{"event":"outcome","id":%q}`, u.ID), Class: Bounded, Closes: u.ID}
			if err := l.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if fmt.Sprint(found) != fmt.Sprint(open) {
			t.Fatalf("round %d: unfinished %v, on the disk %v", round, found, open)
		}
		stop(t, l)
		if round%20 == 19 {
			if r, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 {
				t.Fatalf("round %d: %+v %v", round, r, err)
			}
		}
	}
	r, err := Verify(t.Context(), dir, VerifyOptions{})
	if err != nil || len(r.Faults) > 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if said := strings.Count(readAll(t, dir), `"event":"recovery"`); said != torn {
		t.Errorf("%d records tell of %d torn tails", said, torn)
	}
	t.Logf("%d records in %d segments, %d torn tails in %d rounds", r.Records, r.Segments, torn, crashRounds)
}

// crashOnce lets a child write for a moment, kills it, and returns what it said.
func crashOnce(t *testing.T, dir string, moment time.Duration) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	first, err := r.ReadString('\n') // it is at work
	if err != nil || strings.HasPrefix(first, "error") {
		t.Fatalf("the child: %q %v", first, err)
	}
	kill := time.AfterFunc(moment, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
	rest, err := io.ReadAll(r)
	kill.Stop()
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	said := first + string(rest)
	said = said[:strings.LastIndexByte(said, '\n')+1]
	var lines []string
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "error") {
			t.Fatal(line)
		}
		lines = append(lines, line)
	}
	return lines
}

// crashRead returns what is in the log after the kill, complete lines only, which
// calls of it are open, and whether its end is torn.
func crashRead(t *testing.T, dir string) (all, open map[string]bool, torn bool) {
	t.Helper()
	names, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, names[len(names)-1]))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Scan(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, open = make(map[string]bool), make(map[string]bool)
	for {
		l, err := s.Next()
		if err == io.EOF { //nolint:errorlint // Next returns it as it is
			return all, open, s.Rest() > 0 || info.Size() == 0
		}
		if err != nil {
			t.Fatal(err)
		}
		if l.Kind != Record {
			continue
		}
		opens, closes := crashCalls(l.Text)
		if opens != "" {
			all["attempt "+opens], open[opens] = true, true
		}
		if closes != "" {
			all["outcome "+closes] = true
			delete(open, closes)
		}
	}
}
