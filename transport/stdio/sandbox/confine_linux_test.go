package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/landlock"
)

// An order is what the program of these tests is told, and an answer what it says; see
// internal/test/sandboxprobe/confined.
type order struct {
	Profile Profile   `json:"profile"`
	Allow   []Control `json:"allow"`
	Again   *Profile  `json:"again"`
	In      string    `json:"in"`
	Out     string    `json:"out"`
	Ports   [2]int    `json:"ports"`
	Stray   int       `json:"stray"`
	Threads int       `json:"threads"`
}

type confined struct {
	Error  string              `json:"error"`
	Second string              `json:"second"`
	Report *Report             `json:"report"`
	Tries  []map[string]string `json:"tries"`
}

var building sync.Mutex

// confinedProgram builds the program, without cgo unless told otherwise, for any user to run. In
// a process of an ordinary user, which may not build, root has put it there already.
func confinedProgram(t *testing.T, cgo string) string {
	t.Helper()
	if path := os.Getenv("MCPSEC_TEST_CONFINED" + cgo); path != "" {
		return path
	}
	building.Lock()
	defer building.Unlock()
	path := filepath.Join(asuser.Dir(t), "confined")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/mcpsec/mcpsec-go/internal/test/sandboxprobe/confined")
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("MCPSEC_TEST_CONFINED"+cgo, path)
	return path
}

// again is asuser.Again with the program built first.
func again(t *testing.T, cgo string) (path string, done bool) {
	t.Helper()
	if landlock.ABI() < 6 {
		t.Skip("landlock abi below 6: boot Linux 6.12 or newer with landlock in its lsm= list")
	}
	path = confinedProgram(t, cgo)
	return path, asuser.Again(t)
}

// place makes the folders and the files of an order.
func place(t *testing.T) (in, out string) {
	t.Helper()
	base, err := filepath.EvalSymlinks(asuser.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	in, out = filepath.Join(base, "in"), filepath.Join(base, "out")
	for _, dir := range []string{in, out} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{filepath.Join(in, "given"): "given", filepath.Join(out, "secret"): "secret"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(out, "secret"), filepath.Join(in, "link")); err != nil {
		t.Fatal(err)
	}
	service, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(out, "datagrams")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Close() })
	return in, out
}

func confine(t *testing.T, path string, o order, files ...*os.File) confined {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, string(text))
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var c confined
	if err := json.Unmarshal(out, &c); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return c
}

// ends are what tries come to in every confinement here: none reaches the host.
func ends() map[string]string {
	return map[string]string{
		"read in": "ok", "write in": "EACCES", "list in": "ok",
		"read out": "EACCES", "read out by dots": "EACCES", "read out by link": "EACCES", "read out by root": "EACCES",
		"write out": "EACCES", "create out": "EACCES", "truncate out": "EACCES", "remove out": "EACCES",
		"rename out": "EACCES", "link out": "EACCES", "chmod out": "EPERM", "chmod out by path": "EPERM",
		"touch out": "EPERM", "touch out at": "EPERM", "own out": "EPERM", "attribute out": "EPERM", "chmod given": "EPERM", "flag given": "EPERM",
		"execute": "EPERM", "execute memory": "EPERM",
		"tcp": "EPERM", "udp": "EPERM", "mptcp": "EPERM", "local": "EPERM", "send by a pair": "EPERM", "vsock": "EAFNOSUPPORT",
		"connect in": "EPERM", "connect out": "EPERM", "fast open out": "EPERM", "listen": "EPERM", "listen unbound": "EPERM",
		"signal host": "EPERM", "limit host": "EPERM", "nice host": "EPERM", "pin host": "EPERM",
		"trace": "EPERM", "unshare": "EPERM", "clone3": "ENOSYS", "io_uring": "ENOSYS", "shared memory": "EPERM", "bpf": "EPERM",
		"environ of host": "EACCES", "raise files": "EPERM", "privileges": "ok", "write stray": "ok", "setuid": "EPERM",
		"mount": "EPERM", "other thread starts": "EACCES",
	}
}

func with(over map[string]string) map[string]string {
	all := ends()
	maps.Copy(all, over)
	return all
}

func check(t *testing.T, c confined, want map[string]string, threads int) {
	t.Helper()
	if c.Error != "" {
		t.Fatal(c.Error)
	}
	if len(c.Tries) != threads+1 {
		t.Fatalf("%d threads tried, not %d", len(c.Tries), threads+1)
	}
	for i, tries := range c.Tries {
		for name, got := range tries {
			w, listed := want[name]
			if !listed {
				t.Errorf("thread %d: %s: nobody says what it should come to (%s)", i, name, got)
			} else if got != w {
				t.Errorf("thread %d: %s: %s, want %s", i, name, got, w)
			}
		}
		for name := range want {
			if _, tried := tries[name]; !tried {
				t.Errorf("thread %d: %s was not tried", i, name)
			}
		}
	}
}

// inForce fails unless the controls are in force and verified, and the rest of what is
// required as well.
func inForce(t *testing.T, r *Report, controls ...Control) {
	t.Helper()
	seen := make(map[Control]bool)
	for _, f := range r.Controls {
		seen[f.Control] = f.InForce && f.Verified
		if f.Required && (!f.InForce || !f.Verified) {
			t.Errorf("%+v is required", f)
		}
		if !f.InForce && f.Wanted && f.Detail == "" {
			t.Errorf("%+v does not say why", f)
		}
	}
	for _, control := range controls {
		if !seen[control] {
			t.Errorf("%s is not in force", control)
		}
	}
}

// others are threads that a process has before it confines itself.
const others = 4

func TestConfineReadOnly(t *testing.T) {
	path, done := again(t, "0")
	if done {
		return
	}
	in, out := place(t)
	stray, err := os.Create(filepath.Join(out, "stray"))
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	c := confine(t, path, order{Profile: ReadOnly(in), In: in, Out: out, Stray: 3, Threads: others}, stray)
	check(t, c, ends(), others)
	inForce(t, c.Report, LandlockFiles, LandlockNet, LandlockScope, Seccomp, NoNewPrivs, Capabilities, Rlimits, Descriptors, Egress)
	if c.Report.Tier != T2 || c.Report.Mechanism != "self" || !strings.HasPrefix(c.Report.Filter, "sha256:") || c.Report.Schema != 1 {
		t.Errorf("%+v", c.Report)
	}
	if b, err := os.ReadFile(filepath.Join(out, "secret")); err != nil || string(b) != "secret" {
		t.Errorf("the secret is now %q: %v", b, err)
	}
	if info, err := os.Stat(filepath.Join(in, "given")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is now %v: %v", info.Mode(), err)
	}
}

func TestConfineFolder(t *testing.T) {
	path, done := again(t, "0")
	if done {
		return
	}
	in, out := place(t)
	c := confine(t, path, order{Profile: Folder(in), In: in, Out: out, Threads: others})
	check(t, c, with(map[string]string{"write in": "ok", "chmod given": "ok", "flag given": "ok", "link out": "EXDEV"}), others)
	inForce(t, c.Report, LandlockFiles, Seccomp, Egress)
}

// TestConfineHosts: of the ports of this machine only the profile's can be connected to,
// by no protocol and no first packet another.
func TestConfineHosts(t *testing.T) {
	path, done := again(t, "0")
	if done {
		return
	}
	in, out := place(t)
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	p := Hosts(fmt.Sprintf("api.example.com:%d", ports[0]))
	p.Read = append(p.Read, in)
	o := order{Profile: p, In: in, Out: out, Ports: ports, Threads: others}
	if c := confine(t, path, o); !strings.Contains(c.Error, "not to their names") {
		t.Errorf("names were taken for enforced: %q", c.Error)
	}
	o.Allow = []Control{Egress}
	c := confine(t, path, o)
	check(t, c, with(map[string]string{
		"tcp": "ok", "mptcp": "EPROTONOSUPPORT", "connect in": "ok", "connect out": "EACCES", "fast open out": "EPERM", "listen": "EACCES",
	}), others)
	inForce(t, c.Report, LandlockNet)
	for _, f := range c.Report.Controls {
		if f.Control == Egress && (f.InForce || f.Verified || f.Remedy == "") {
			t.Errorf("%+v", f)
		}
	}
}

// TestConfineTwice: the second time narrows, and cannot widen.
func TestConfineTwice(t *testing.T) {
	path, done := again(t, "0")
	if done {
		return
	}
	in, out := place(t)
	wider := Profile{Write: []string{in, out}, System: true, Listen: []uint16{8080}}
	c := confine(t, path, order{Profile: ReadOnly(in), Again: &wider, In: in, Out: out, Threads: others})
	check(t, c, with(map[string]string{"mptcp": "EPROTONOSUPPORT"}), others) // the newer filter answers first
	narrower := ReadOnly("/usr")
	c = confine(t, path, order{Profile: Folder(in), Again: &narrower, In: in, Out: out, Threads: others})
	if c.Second != "" {
		t.Error(c.Second)
	}
	check(t, c, with(map[string]string{"read in": "EACCES", "list in": "EACCES", "chmod given": "EACCES", "flag given": "EACCES"}), others)
}

// TestConfineAsRoot: a process of root gives up what makes it root.
func TestConfineAsRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: run as root")
	}
	if landlock.ABI() < 6 {
		t.Skip("landlock abi below 6: boot Linux 6.12 or newer with landlock in its lsm= list")
	}
	in, out := place(t)
	c := confine(t, confinedProgram(t, "0"), order{Profile: ReadOnly(in), In: in, Out: out, Threads: others})
	check(t, c, with(map[string]string{"setuid": "ok"}), others) // it is uid 0, without any capability
	inForce(t, c.Report, Capabilities)
}

// TestConfineWithCgo: where Go cannot reach all threads, and the kernel does not either,
// nothing is confined by half.
func TestConfineWithCgo(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no C compiler: apt install gcc")
	}
	if landlock.ABI() >= landlockThreads {
		t.Skip("the kernel reaches all threads by itself: boot one with a landlock abi below 8")
	}
	path, done := again(t, "1")
	if done {
		return
	}
	in, out := place(t)
	c := confine(t, path, order{Profile: ReadOnly(in), In: in, Out: out, Threads: others})
	if !strings.Contains(c.Error, "CGO_ENABLED=0") || strings.Contains(c.Error, "in part") {
		t.Errorf("%q", c.Error)
	}
}

// TestConfineRefused: what cannot be enforced, and profiles that contradict themselves,
// change nothing.
func TestConfineRefused(t *testing.T) {
	path, done := again(t, "0")
	if done {
		return
	}
	in, out := place(t)
	for want, p := range map[string]Profile{
		"no such file":      ReadOnly(filepath.Join(in, "nothing")),
		"not an absolute":   {Read: []string{"relative"}},
		"name the folders":  Folder("/"),
		"sandbox's own":     ReadOnly("/proc"),
		"must not be":       {Write: []string{in}, Exec: []string{in}},
		"no system call":    {Syscalls: []string{"opensesame"}},
		"break the sandbox": {Syscalls: []string{"mount"}},
		"egress:":           Hosts("https://example.com/"),
	} {
		if c := confine(t, path, order{Profile: p, In: in, Out: out}); !strings.Contains(c.Error, want) || strings.Contains(c.Error, "in part") {
			t.Errorf("%+v: %q, want %q", p, c.Error, want)
		}
	}
	if landlock.ABI() < 9 {
		if c := confine(t, path, order{Profile: Profile{Unix: true}, In: in, Out: out}); !strings.Contains(c.Error, "abi 9") {
			t.Errorf("%q", c.Error)
		}
	}
}

// TestNamesOverTCP: a confined process has no UDP sockets, so names are asked for by TCP.
func TestNamesOverTCP(t *testing.T) {
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	resolveOverTCP()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.DefaultResolver.Dial(t.Context(), "udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, packets := c.(net.PacketConn); packets || !net.DefaultResolver.PreferGo {
		t.Error("names are asked for in datagrams")
	}
}

// TestVerifyThreads: one thread that is not confined is found.
func TestVerifyThreads(t *testing.T) {
	t.Parallel()
	const good = "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"
	for want, bad := range map[string]string{
		"":                 good,
		"no filter":        strings.Replace(good, "Seccomp:\t2", "Seccomp:\t0", 1),
		"gain privileges":  strings.Replace(good, "NoNewPrivs:\t1", "NoNewPrivs:\t0", 1),
		"has capabilities": strings.Replace(good, "CapPrm:\t0000000000000000", "CapPrm:\t0000000000000400", 1),
		"thread 12 has":    strings.Replace(good, "CapAmb:\t0000000000000000", "CapAmb:\t0000000000000400", 1),
		"lacks lines":      strings.Replace(good, "Seccomp:\t2\n", "", 1),
		"is \"x\"":         strings.Replace(good, "Seccomp:\t2", "Seccomp:\tx", 1),
	} {
		tasks := t.TempDir()
		for id, text := range map[string]string{"11": good, "12": bad, "13": good} {
			if err := os.MkdirAll(filepath.Join(tasks, id), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(tasks, id, "status"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := verifyThreads(tasks, nil)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if err := verifyThreads(t.TempDir(), nil); err == nil {
		t.Error("no threads at all are fine")
	}
}

func TestSpeculation(t *testing.T) {
	t.Parallel()
	for state, want := range map[uintptr]SpeculationControl{
		unix.PR_SPEC_NOT_AFFECTED:                        SpeculationNotAffected,
		unix.PR_SPEC_ENABLE:                              SpeculationExposed,
		unix.PR_SPEC_DISABLE:                             SpeculationMitigated,
		unix.PR_SPEC_PRCTL | unix.PR_SPEC_ENABLE:         SpeculationOn,
		unix.PR_SPEC_PRCTL | unix.PR_SPEC_DISABLE:        SpeculationOff,
		unix.PR_SPEC_PRCTL | unix.PR_SPEC_DISABLE_NOEXEC: SpeculationOff,
		unix.PR_SPEC_PRCTL | unix.PR_SPEC_FORCE_DISABLE:  SpeculationForcedOff,
		unix.PR_SPEC_PRCTL:                               SpeculationUnknown,
	} {
		if got := speculationName(state); got != want {
			t.Errorf("%#x: %s, want %s", state, got, want)
		}
	}
	cpu := t.TempDir()
	for name, text := range map[string]string{"smt/control": "on\n", "vulnerabilities/meltdown": "Mitigation: PTI\nmore\n", "vulnerabilities/empty": ""} {
		path := filepath.Join(cpu, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := speculationState(cpu)
	if s.SMT != "on" || len(s.Vulnerabilities) != 1 || s.Vulnerabilities["meltdown"] != "Mitigation: PTI" || s.StoreBypass == "" || s.IndirectBranch == "" {
		t.Errorf("%+v", s)
	}
	if s := speculationState(filepath.Join(cpu, "nothing")); s.SMT != "" || s.Vulnerabilities != nil {
		t.Errorf("%+v", s)
	}
	if !SpeculationMitigated.Safe() || SpeculationOff.Safe() || SpeculationUnknown.Safe() {
		t.Error("safe")
	}
}

// TestConfineInside: a server that confines itself may run in a sandbox as well.
func TestConfineInside(t *testing.T) {
	path, done := again(t, "0")
	if done {
		return
	}
	in, out := place(t)
	text, err := json.Marshal(order{Profile: Folder(in), In: in, Out: out, Threads: others})
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	p, err := Start(t.Context(), &Command{
		Path: path, Args: []string{path, string(text)}, Stdout: write, Stderr: os.Stderr,
		Profile: Profile{Exec: []string{filepath.Dir(path)}, Write: []string{in}},
	})
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	var c confined
	if err := json.NewDecoder(read).Decode(&c); err != nil {
		t.Error(err)
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Error(err)
	}
	if c.Error != "" {
		t.Fatal(c.Error)
	}
	inForce(t, c.Report, Seccomp, NoNewPrivs)
	for i, tries := range c.Tries {
		for name, want := range map[string]string{"read in": "ok", "write in": "ok", "read out": "ENOENT", "execute": "EPERM", "tcp": "EPERM", "privileges": "ok"} {
			if tries[name] != want {
				t.Errorf("thread %d: %s: %s, want %s", i, name, tries[name], want)
			}
		}
	}
}
