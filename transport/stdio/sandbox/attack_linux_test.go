//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
	"golang.org/x/sys/unix"
)

// A server that may write a folder must not choose what its own profile means by a path
// below that folder when it is started again.
func TestLinkPlantedInAWrittenFolder(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	mustDo(t, os.MkdirAll(base+"/work/cache", 0o755), os.Mkdir(base+"/keys", 0o755), os.WriteFile(base+"/keys/id", []byte("key"), 0o600))
	c := &Command{Profile: Profile{Write: []string{base + "/work", base + "/work/cache"}}}
	if _, err := newView(c); err != nil {
		t.Fatal(err)
	}
	mustDo(t, os.Remove(base+"/work/cache"), os.Symlink(base+"/keys", base+"/work/cache")) // what the server can do
	v, err := newView(c)
	if err == nil && cover(v.entries, filepath.Join(base, "keys", "id")) != nil {
		t.Errorf("the profile now grants %+v", v.entries)
	}
}

// What Confine cannot enforce it refuses.
func TestConfineReadWithinWrite(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	mustDo(t, os.MkdirAll(base+"/config", 0o755))
	c := &confinement{profile: Profile{Write: []string{base}, Read: []string{base + "/config"}}, abi: 7, ruleset: -1}
	defer c.close()
	if err := c.plan(); err == nil || !strings.Contains(err.Error(), "read only within") {
		t.Errorf("%v; rules %+v", err, c.rules.Rules)
	}
}

// Once a process is over its number may be another's.
func TestKillAfterTheEndKillsNobodyElse(t *testing.T) {
	t.Parallel()
	over := exec.CommandContext(t.Context(), "true")
	mustDo(t, over.Run())
	other := exec.CommandContext(t.Context(), "sh", "-c", "sleep 60 & echo; wait")
	other.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := other.StdoutPipe()
	mustDo(t, err)
	mustDo(t, other.Start())
	defer func() { _ = syscall.Kill(-other.Process.Pid, syscall.SIGKILL); _ = other.Wait() }()
	_, err = out.Read(make([]byte, 1))
	mustDo(t, err)
	ended := make(chan struct{})
	close(ended)
	p := &process{child: over.Process, done: ended}
	p.child.Pid = other.Process.Pid // as if the kernel had given it again
	mustDo(t, p.Kill(t.Context()))
	<-time.After(20 * time.Millisecond)
	if len(inSession(other.Process.Pid)) == 0 {
		t.Error("a process of another session was killed")
	}
}

// Between the check of a path and its use a server that still runs may swap it for a link.
func TestLinkPlantedAfterTheCheck(t *testing.T) {
	t.Parallel()
	if asuser.Again(t) {
		return
	}
	for name, allow := range map[string][]Control{"with namespaces": nil, "without": everything} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			mustDo(t, os.MkdirAll(base+"/work/cache", 0o755), os.Mkdir(base+"/keys", 0o755))
			c := shell("true")
			c.Profile.Write, c.Allow = []string{base + "/work/cache"}, allow
			v, err := c.check()
			mustDo(t, err, os.Remove(base+"/work/cache"), os.Symlink(base+"/keys", base+"/work/cache"))
			d := direct{}
			if allow != nil {
				d = lacking(t, cloneWithout(unix.CLONE_NEWUSER, unix.EPERM))
			}
			if p, err := d.start(t.Context(), c, v); !errors.Is(err, unix.ELOOP) {
				t.Errorf("%v, %v", p, err)
			}
		})
	}
}

func TestManyMayWait(t *testing.T) {
	t.Parallel()
	if asuser.Again(t) {
		return
	}
	p, err := Start(t.Context(), shell("exit 7"))
	mustDo(t, err)
	var waiting sync.WaitGroup
	for range 8 {
		waiting.Go(func() {
			if state, err := p.Wait(); err != nil || state.ExitCode() != 7 {
				t.Errorf("%v, %v", state, err)
			}
		})
	}
	waiting.Wait()
}

// Rules that cannot be read are refused whatever the machine can do.
func TestUnreadableEgress(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{"", "https://example.com", "*.com", "example.com:0", "example.com udp", "169.254.169.254"} {
		c := shell("true")
		c.Profile.Egress, c.Allow, c.Network = []string{rule}, everything, func(Network) error { return nil }
		if _, err := c.check(); err == nil {
			t.Errorf("%q was taken", rule)
		}
	}
	c := shell("true")
	c.Profile.Egress = []string{"example.com:8443", "db.example.com:5432 tcp", "wiki.example.com private"}
	if ports, err := egressPorts(c.Profile.Egress); err != nil || !slices.Equal(ports, []uint16{80, 443, 5432, 8443}) {
		t.Errorf("%v, %v", ports, err)
	}
}

// The host may be under a filter itself: then "Seccomp: 2" says nothing of this one's.
func TestFilterOfTheHostIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	host := lookAt("/proc/thread-self")
	host.status = "Seccomp_filters:\t2\n"
	for its, ok := range map[string]bool{"2": false, "1": false, "x": false, "3": true} {
		child := &outside{status: procfs.Status("Seccomp:\t2\nSeccomp_filters:\t" + its + "\n"), host: host}
		if err := child.seeFilter(); (err == nil) != ok {
			t.Errorf("%s filters: %v", its, err)
		}
	}
}

// Blanks that the kernel does not escape are part of a name, and end none: a folder so
// called is not taken for what is mounted at /proc.
func TestMountsThatLookLikeOthers(t *testing.T) {
	t.Parallel()
	const proc = "66 65 0:40 / /proc ro,nosuid - proc none rw\n"
	for name, test := range map[string]struct {
		mounts string
		ok     bool
	}{
		"alone":                         {proc, true},
		"after a folder of another":     {"70 65 254:0 /srv\u00a0/proc /srv/x ro - ext4 /dev/vda rw\n" + proc, true},
		"a folder that says it is one":  {"70 65 254:0 /srv\v/proc ro - ext4 /dev/vda rw\n", false},
		"a folder of the host's called": {"70 65 254:0 /srv\v/proc\vro /x ro - proc none rw\n", false},
		"that is written":               {strings.Replace(proc, "ro,", "rw,", 1), false},
		"an option like it":             {strings.Replace(proc, "ro,", "rosy,", 1), false},
		"of another kind":               {strings.Replace(proc, "- proc", "- tmpfs", 1), false},
		"after a line that is none":     {"66\n" + proc, false},
		"nowhere":                       {"", false},
	} {
		if err := seeMount(test.mounts, "/proc", "proc"); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
