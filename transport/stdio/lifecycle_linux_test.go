package stdio_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// mark is an argument that tells the descendants of one test from everybody else's.
const mark = "MCPSEC_TEST_MARK"

func init() {
	modes["daemons"] = daemons
	modes["daemon"] = func() error {
		child := exec.Command("/proc/self/exe", os.Getenv(mark))
		child.Env = append(os.Environ(), mode+"=sleep")
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		child.SysProcAttr = &unix.SysProcAttr{Setsid: true}
		return child.Start() // and leave it alone
	}
	modes["host"] = host
}

// daemons leaves processes in sessions of their own, whose parents are gone, and serves.
func daemons() error {
	for range 3 {
		child := exec.Command("/proc/self/exe")
		child.Env = append(os.Environ(), mode+"=daemon")
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		child.SysProcAttr = &unix.SysProcAttr{Setsid: true}
		if err := child.Run(); err != nil {
			return err
		}
	}
	return serve()
}

// host launches daemons and lives until it is killed.
func host() error {
	l := &stdio.Launch{
		Command:  []string{"/proc/self/exe", os.Getenv(mark)},
		Artifact: stdio.Program{SHA256: self(), PrivateCopy: true}, Profile: sandbox.Profile{System: true},
		Env: []string{mode + "=daemons", mark + "=" + os.Getenv(mark)}, Events: func(stdio.Event) {},
	}
	c, err := l.Connect(context.Background())
	if err != nil {
		return err
	}
	fmt.Println(l.Report().Tier)
	_, err = c.Read(context.Background())
	return err
}

// marked are the processes of this machine with an argument, but for those that have ended.
func marked(tb testing.TB, argument string) (pids []int) {
	tb.Helper()
	entries, err := os.ReadDir("/proc")
	must(tb, err)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		if slices.ContainsFunc(bytes.Split(line, []byte{0}), func(arg []byte) bool { return string(arg) == argument }) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// patience bounds a wait for what comes at once unless the machine is busy, and never if
// there is a fault.
const patience = time.Minute

// eventually asks again until it is so.
func eventually(tb testing.TB, what string, so func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !so(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("not so: %s", what)
		}
	}
}

func TestDaemonsEndWithTheConnection(t *testing.T) {
	asuser.Again(t) // and, where the caller is root, as root
	path, err := os.Executable()
	must(t, err)
	argument := fmt.Sprintf("daemons-%d", os.Getpid())
	l, told := confined(t, stdio.Program{SHA256: self(), PrivateCopy: true}, path, argument)
	l.Profile.System, l.Env = true, []string{mode + "=daemons", mark + "=" + argument}
	s, err := connect(t, l)
	if err != nil {
		t.Fatalf("%v\n%s", err, l.Stderr())
	}
	strictly(t, l)
	eventually(t, "a server and three daemons run", func() bool { return len(marked(t, argument)) == 4 })
	must(t, s.Close())
	if left := marked(t, argument); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if len(told.of(stdio.Ended)) != 1 {
		t.Errorf("events %v", told.list)
	}
}

// Nothing of the host's runs any more that could end them: the kernel does.
func TestDaemonsEndWithAHostThatIsKilled(t *testing.T) {
	asuser.Again(t) // and, where the caller is root, as root
	argument := fmt.Sprintf("killed-%d", os.Getpid())
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), mode+"=host", mark+"="+argument, "TMPDIR="+t.TempDir())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	tier := make([]byte, 3)
	if _, err := out.Read(tier); err != nil || string(tier) != "T3\n" {
		t.Fatalf("%q %v %s", tier, err, stderr.String())
	}
	eventually(t, "a server and three daemons run", func() bool { return len(marked(t, argument)) == 4 })
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	eventually(t, "none is left", func() bool { return len(marked(t, argument)) == 0 })
}

// held is what a host could lose a little of with every launch.
type held struct {
	files, goroutines int
	mounts            []string
	groups, temporary []string
}

func holds(tb testing.TB, temp string) (h held) {
	tb.Helper()
	files, err := os.ReadDir("/proc/self/fd") // memory files are among them
	must(tb, err)
	h = held{files: len(files), goroutines: runtime.NumGoroutine(), mounts: asuser.Mounts(tb)}
	left, err := os.ReadDir(temp)
	must(tb, err)
	for _, entry := range left {
		h.temporary = append(h.temporary, entry.Name())
	}
	own := fmt.Sprintf("mcpsec.%d.", os.Getpid())
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error { // groups come and go
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), own) {
			h.groups = append(h.groups, path)
		}
		return nil
	})
	return h
}

// A hundred launches, or 1,000 with MCPSEC_LONG=1, cost the host nothing that stays.
func TestLaunchesLeaveNothing(t *testing.T) { //nolint:paralleltest // counts what the process has
	if asuser.OwnMounts(t) {
		return
	}
	asuser.Again(t) // and, where the caller is root, as root
	cycles := 100
	if os.Getenv("MCPSEC_LONG") != "" {
		cycles = 1000
	}
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	path, err := os.Executable()
	must(t, err)
	cycle := func(i int) {
		l, _ := confined(t, stdio.Program{SHA256: self(), PrivateCopy: i%10 == 0}, path)
		l.Profile.System, l.Env = true, []string{mode + "=serve", "GORACE=atexit_sleep_ms=0"} // the detector waits a second
		if i%3 == 0 {
			l.Profile.Egress = []string{"example.com"}
		}
		c, err := l.Connect(t.Context())
		must(t, err)
		if tier := l.Report().Tier; tier != sandbox.T3 {
			t.Fatal(tier)
		}
		must(t, c.Close())
	}
	for i := range 10 { // what is opened once stays open
		cycle(i)
	}
	before := holds(t, temp)
	for i := range cycles {
		cycle(i)
	}
	eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= before.goroutines })
	after := holds(t, temp)
	if after.files > before.files || len(after.mounts) > 0 || len(after.groups) > 0 || len(after.temporary) > 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err == nil {
		t.Errorf("a child is left: %d", pid)
	}
}
