//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"golang.org/x/sys/unix"
)

// hosted is what a host in another process is to do.
type hosted struct {
	Script string    `json:"script"`
	Allow  []Control `json:"allow"`
	Wait   bool      `json:"wait"`
}

func init() { actAsHost = startHosted }

// startHosted starts a sandbox and says which one it became.
func startHosted(text string) int {
	var o hosted
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	c := shell(o.Script)
	c.Allow, c.Stdout, c.Stderr = o.Allow, os.Stderr, os.Stderr
	p, err := Start(context.Background(), c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	fmt.Fprintln(os.Stdout, p.PID(), p.Report().Tier)
	if !o.Wait {
		<-time.After(time.Hour) // it is killed before
	}
	state, err := p.Wait()
	if err != nil || !state.Success() {
		fmt.Fprintln(os.Stderr, state, err)
		return 4
	}
	return 0
}

// hostCommand runs this program as a host, behind other arguments.
func hostCommand(t *testing.T, o hosted, before ...string) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(slices.Clone(before), self)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), hostVariable+"="+string(text))
	return cmd
}

// patience bounds a wait for what comes at once unless the machine is busy, and never if
// there is a fault.
const patience = time.Minute

// gone waits until a process is no more, or is a zombie of somebody else's.
func gone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there after %v: %s", pid, patience, stat)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// endless is a number of seconds that no other test uses, nor another process of this one.
func endless(test int) string { return fmt.Sprintf("%d%07d", 9876+test, os.Getpid()) }

// sleepers are the processes that sleep for such a number of seconds.
func sleepers(t *testing.T, seconds string) []int {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil && string(text) == "sleep\x00"+seconds+"\x00" {
			pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// eventually waits for a condition that another process brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// daemons leaves processes behind in every way there is.
func daemons(seconds string) string {
	s := "sleep " + seconds
	return "trap '' TERM HUP; setsid " + s + " & (setsid sh -c \"trap '' TERM; " + s + " & " + s + "\" &) & (" + s + " &) ; " + s + " & wait"
}

func TestKillEndsTheTree(t *testing.T) {
	t.Parallel()
	if asuser.Again(t) {
		return
	}
	seconds := endless(1)
	c := shell(daemons(seconds))
	p, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "5 sleepers", func() bool { return len(sleepers(t, seconds)) == 5 })
	ctx, cancel := context.WithTimeout(t.Context(), patience) // and not until they have slept
	defer cancel()
	if err := p.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if left := sleepers(t, seconds); len(left) != 0 {
		t.Errorf("%d left", len(left))
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal to it: %v", err)
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Errorf("killed again: %v", err)
	}
}

func TestKillWithoutNamespaces(t *testing.T) {
	t.Parallel()
	if asuser.Again(t) {
		return
	}
	seconds := endless(2)
	c := shell(strings.ReplaceAll("sleep N & (sleep N &) ; set -m; sleep N & wait", "N", seconds))
	c.Allow = WithoutNamespaces
	p, err := lacking(t, cloneWithout(^uintptr(0)&^0xff&^unix.CLONE_VM, unix.EPERM)).Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "3 sleepers", func() bool { return len(sleepers(t, seconds)) == 3 })
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := sleepers(t, seconds); len(left) != 0 {
		t.Errorf("%d left", len(left))
	}
}

func TestTheTreeEndsWithTheFirstProcess(t *testing.T) {
	t.Parallel()
	if asuser.Again(t) {
		return
	}
	seconds := endless(3)
	_, state, _ := output(t, shell("setsid sleep "+seconds+" </dev/null >/dev/null 2>&1 & exit 0"))
	if !state.Success() || len(sleepers(t, seconds)) != 0 {
		t.Errorf("%v, %d left", state, len(sleepers(t, seconds)))
	}
}

func TestHostIsKilled(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"root", "ordinary"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			if user == "ordinary" && asuser.Again(t) {
				return
			}
			seconds := endless(map[string]int{"root": 4, "ordinary": 5}[user])
			cmd := hostCommand(t, hosted{Script: daemons(seconds)})
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			said, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(said, err)
			}
			pid, err := strconv.Atoi(strings.Fields(said)[0])
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "5 sleepers", func() bool { return len(sleepers(t, seconds)) == 5 })
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			gone(t, pid)
			eventually(t, "no sleeper", func() bool { return len(sleepers(t, seconds)) == 0 })
		})
	}
}

func TestStartIsCancelled(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]func(context.CancelFunc, *Command){
		"before":       func(cancel context.CancelFunc, _ *Command) { cancel() },
		"in the midst": func(cancel context.CancelFunc, c *Command) { c.Network = func(Network) error { cancel(); return nil } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if asuser.Again(t) {
				return
			}
			before := open(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := shell("sleep 1000")
			c.Profile.Egress = []string{"example.com"}
			c.Network = func(Network) error { return nil }
			when(cancel, c)
			p, err := Start(ctx, c)
			if !errors.Is(err, context.Canceled) || p != nil {
				t.Fatalf("%v, %v", p, err)
			}
			if after := open(t); !slices.Equal(after, before) {
				t.Errorf("open before %v, after %v", before, after)
			}
			if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
				t.Errorf("a child is left: %v", err)
			}
		})
	}
}

func TestCancelAfterTheStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Start(ctx, shell("read x; exit 5"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	state, err := p.Wait()
	if err != nil || state.ExitCode() == -1 {
		t.Errorf("%v, %v", state, err)
	}
}

// open are the names of what this process has open.
func open(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, name := range names {
		if to, err := os.Readlink(name); err == nil && !strings.Contains(to, "/proc/") {
			list = append(list, to)
		}
	}
	slices.Sort(list)
	return list
}

// A goroutine that ends while it holds a thread ends the thread; the kernel takes that
// for the end of the parent of what the thread has started.
func TestThreadsEnd(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan Process)
	c := shell("read x; exit 5")
	c.Stdin = r
	go func() {
		runtime.LockOSThread() // and never unlocks
		p, err := Start(t.Context(), c)
		if err != nil {
			t.Error(err)
		}
		started <- p
	}()
	p := <-started
	_ = r.Close()
	for range 20 {
		ended := make(chan struct{})
		go func() { defer close(ended); runtime.LockOSThread() }()
		<-ended
		_, _, _ = output(t, shell("true"))
	}
	_ = w.Close()
	if state, err := p.Wait(); err != nil || state.ExitCode() != 5 {
		t.Errorf("%v, %v", state, err)
	}
}

func TestNested(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before func(*testing.T) []string
		allow  []Control
		tier   string
	}{
		"inside bubblewrap": {func(t *testing.T) []string {
			t.Helper()
			program, err := exec.LookPath("bwrap")
			if err != nil {
				t.Skip("bwrap not installed: apt install bubblewrap")
			}
			return []string{program, "--dev-bind", "/", "/", "--unshare-user", "--unshare-net", "--unshare-ipc"}
		}, nil, "T3"},
		"nowhere": {func(*testing.T) []string { return nil }, nil, "T3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if asuser.Again(t) {
				return
			}
			out, err := hostCommand(t, hosted{Script: "true", Allow: tt.allow, Wait: true}, tt.before(t)...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), tt.tier) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// Inside our own sandbox there are no namespaces to be had, and what is confined can
// still confine what it starts.
func TestNestedInItself(t *testing.T) {
	t.Parallel()
	for name, outer := range map[string]func(*host){"T3": nil, "T2": cloneWithout(^uintptr(0)&^0xff&^unix.CLONE_VM, unix.EPERM)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if asuser.Again(t) {
				return
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			d := direct{}
			if outer != nil {
				d = lacking(t, outer)
			}
			for _, allow := range [][]Control{nil, WithoutNamespaces} {
				text, err := json.Marshal(hosted{Script: "true", Allow: allow, Wait: true})
				if err != nil {
					t.Fatal(err)
				}
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				c := &Command{
					Path: self, Args: []string{"host"}, Env: []string{hostVariable + "=" + string(text)}, Stdout: w, Stderr: w,
					Profile: Profile{System: true, Exec: []string{self}, Read: []string{}}, Allow: WithoutNamespaces,
				}
				if name == "T2" {
					c.Profile.Read = nil
				}
				p, err := d.Start(t.Context(), c)
				_ = w.Close()
				if err != nil {
					t.Fatal(err)
				}
				said, _ := bufio.NewReader(r).ReadString(0)
				_ = r.Close()
				state, err := p.Wait()
				if err != nil {
					t.Fatal(err)
				}
				want := map[bool]string{true: "user-namespace cannot be put in force", false: "T2"}[allow == nil]
				if !strings.Contains(said, want) || state.Success() != (allow != nil) {
					t.Errorf("allowing %v: %v, %s; want %s", allow, state, said, want)
				}
			}
		})
	}
}
