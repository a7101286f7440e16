//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	builtEnv  = "MCPSEC_TEST_PROBE"        // where the program is
	setuidEnv = "MCPSEC_TEST_PROBE_SETUID" // a program of root's
	apartEnv  = "MCPSEC_TEST_PROBE_APART"  // the test runs in a process of its own
)

// build makes the program, and as root a setuid one.
func build(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(builtEnv); path != "" {
		return path
	}
	dir := asuser.Dir(t)
	path := filepath.Join(dir, "sandboxprobe")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv(builtEnv, path)
	if id, err := exec.LookPath("id"); err == nil && os.Getuid() == 0 {
		setuid := asuser.Copy(t, dir, id)
		if err := os.Chmod(setuid, 0o755|os.ModeSetuid); err != nil {
			t.Fatal(err)
		}
		t.Setenv(setuidEnv, setuid)
	}
	return path
}

// apart runs the rest of the calling test as an ordinary user in a process of its own,
// and reports whether the caller is not that process.
func apart(t *testing.T) bool {
	t.Helper()
	build(t)
	if os.Getenv(apartEnv) != "" {
		return false
	}
	t.Setenv(apartEnv, "1")
	return asuser.Again(t) || alone(t)
}

// alone is apart without the change of user.
func alone(t *testing.T) bool {
	t.Helper()
	build(t)
	if os.Getenv(apartEnv) == t.Name() {
		return false
	}
	t.Setenv(apartEnv, t.Name())
	out, err := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", "^"+t.Name()+"$", "-test.count=1", "-test.v").CombinedOutput()
	t.Logf("in a process of its own:\n%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Errorf("the test did not pass: %v", err)
	}
	return true
}

// layout puts around the sandbox what the probes look for.
func layout(t *testing.T, tier string) *place {
	t.Helper()
	base, err := filepath.EvalSymlinks(asuser.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &place{
		Tier: tier, Work: base + "/work", Out: base + "/out", Home: base + "/home", Setuid: os.Getenv(setuidEnv),
		Host: os.Getpid(), Listen: 18080, Files: 256, CPU: 60, Abstract: fmt.Sprintf("@mcpsec-probe-%d", os.Getpid()),
	}
	for _, dir := range []string{p.Work, p.Out, p.Home} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{p.Out + "/secret", p.Home + "/.key"} {
		if err := os.WriteFile(path, []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(p.Out+"/secret", p.Work+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{p.Abstract, p.Out + "/socket"} {
		l, err := net.Listen("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p.Port = l.Addr().(*net.TCPAddr).Port
	segment, _, errno := unix.Syscall(unix.SYS_SHMGET, 0, 4096, unix.IPC_CREAT|0o666)
	if errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() { unix.Syscall(unix.SYS_SHMCTL, segment, unix.IPC_RMID, 0) })
	p.Segment = int(segment)
	// Descriptors that a careless host leaves open to its children.
	for _, least := range []int{10, 251} {
		fd, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_DUPFD, least)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
	}
	p.Env = []string{"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"}
	p.Namespaces = make(map[string]string)
	for _, name := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"} {
		link, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		p.Namespaces[name] = link
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("GITHUB_TOKEN", "secret")
	return p
}

// untouched fails the test if something outside changed, and if something is left of a
// mount point or a copy in the work folder that the probes do not write.
func (p *place) untouched(t *testing.T) {
	t.Helper()
	for _, path := range []string{p.Out + "/secret", p.Home + "/.key"} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o644 || info.Size() != 6 || time.Since(info.ModTime()) > time.Hour {
			t.Errorf("%s was changed: %v %v", path, info, err)
		}
	}
	for dir, want := range map[string][]string{p.Out: {"secret", "socket"}, p.Home: {".key"}, p.Work: {"capable", "code", "link", "mine"}} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !slices.Contains(want, e.Name()) {
				t.Errorf("%s appeared in %s", e.Name(), dir)
			}
		}
	}
	if err := unix.Kill(os.Getpid(), 0); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Errorf("the host's /proc: %v", err)
	}
}

func (p *place) argument(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (p *place) profile(program string) sandbox.Profile {
	profile := sandbox.Profile{
		Write: []string{p.Work}, Exec: []string{filepath.Dir(program)}, System: true, Listen: []uint16{uint16(p.Listen)}, Dir: p.Work,
		Limits: sandbox.Limits{Memory: 1 << 30, Processes: 64, Files: int(p.Files), FileSize: 4 << 20, CPU: time.Duration(p.CPU) * time.Second, Temp: 16 << 20},
	}
	return profile
}

// start runs a program in a sandbox until it ends and returns what it printed.
func start(t *testing.T, p *place, program string, args []string, allow ...sandbox.Control) (string, *sandbox.Report) {
	t.Helper()
	return startWith(t, p, program, args, nil, nil, allow...)
}

// startWith is start with a standard input, or a pipe if it is nil, and a changed profile.
func startWith(t *testing.T, p *place, program string, args []string, stdin *os.File, change func(*sandbox.Profile), allow ...sandbox.Control) (string, *sandbox.Report) {
	t.Helper()
	profile := p.profile(os.Getenv(builtEnv))
	if change != nil {
		change(&profile)
	}
	return startCommand(t, &sandbox.Command{
		Path: program, Args: append([]string{program}, args...), Env: p.Env, Stdin: stdin, Profile: profile, Allow: allow,
	})
}

// startCommand starts a command and waits, five minutes at most, until it has closed its
// output.
func startCommand(t *testing.T, c *sandbox.Command) (string, *sandbox.Report) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	in, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if c.Stdin == nil {
		c.Stdin = in
	}
	c.Stdout, c.Stderr = write, os.Stderr
	process, err := sandbox.Start(ctx, c)
	in.Close()
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string, 1)
	go func() {
		out, _ := io.ReadAll(read)
		done <- string(out)
	}()
	var out string
	select {
	case out = <-done:
	case <-ctx.Done():
		t.Error("it did not end in five minutes")
	}
	if err := process.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := process.Wait(); err != nil {
		t.Error(err)
	}
	if ctx.Err() != nil {
		out = <-done
	}
	return out, process.Report()
}

// judge prints the table and fails the test for what ended otherwise than listed.
func judge(t *testing.T, out string) (blocked, all int) {
	t.Helper()
	results := parse(t, out)
	var table strings.Builder
	for _, r := range results {
		mark := "ok  "
		if !r.Pass {
			mark = "FAIL"
			t.Errorf("probe %d, %s: %v, want %s", r.N, r.Name, r.Got, r.Want)
		} else {
			blocked++
		}
		fmt.Fprintf(&table, "%s %3d %-50s %s\n", mark, r.N, r.Name, strings.Join(r.Got, " "))
	}
	t.Logf("%d of %d as listed\n%s", blocked, len(results), table.String())
	return blocked, len(results)
}

func parse(t *testing.T, out string) []result {
	t.Helper()
	var results []result
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var r result
		if err := d.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		results = append(results, r)
	}
	if len(results) != len(probes()) {
		t.Fatalf("%d of %d probes ran: %.2000s", len(results), len(probes()), out)
	}
	return results
}

// visible are controls that the kernel shows to others.
var visible = []sandbox.Control{
	sandbox.UserNamespace, sandbox.MountNamespace, sandbox.PIDNamespace, sandbox.IPCNamespace, sandbox.UTSNamespace, sandbox.NetNamespace,
	sandbox.CgroupNamespace, sandbox.Seccomp, sandbox.NoNewPrivs, sandbox.Capabilities, sandbox.Rlimits, sandbox.Descriptors,
}

// honest is probe 117: the report claims what the probes have seen, no more and no less.
func honest(t *testing.T, report *sandbox.Report, tier sandbox.Tier) {
	t.Helper()
	if report.Tier != tier || len(report.Controls) == 0 {
		t.Errorf("%+v", report)
	}
	for _, f := range report.Controls {
		if f.Required && !f.InForce {
			t.Errorf("started without %+v", f)
		}
		if f.InForce && !f.Verified && slices.Contains(visible, f.Control) {
			t.Errorf("nobody looked at %+v", f)
		}
		namespace := strings.HasSuffix(string(f.Control), "-namespace")
		if namespace && f.InForce != (tier == sandbox.T3) {
			t.Errorf("in %s the report says %+v", tier, f)
		}
		if f.Wanted && !f.InForce && f.Detail == "" {
			t.Errorf("%+v does not say why", f)
		}
	}
}

// TestT3 runs the probes with everything there is.
func TestT3(t *testing.T) {
	if apart(t) {
		return
	}
	program, p := build(t), layout(t, "T3")
	out, report := start(t, p, program, []string{p.argument(t)})
	judge(t, out)
	honest(t, report, sandbox.T3)
	p.untouched(t)
}

// TestT2 runs them where namespaces are refused, as inside most containers.
func TestT2(t *testing.T) {
	if apart(t) {
		return
	}
	program, p := build(t), layout(t, "T2")
	refuseNamespaces(t)
	out, report := start(t, p, program, []string{p.argument(t)}, sandbox.WithoutNamespaces...)
	judge(t, out)
	honest(t, report, sandbox.T2)
	p.untouched(t)
}

// TestT3OfRoot runs them in a sandbox that root starts.
func TestT3OfRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: run as root")
	}
	program, p := build(t), layout(t, "T3")
	out, report := start(t, p, program, []string{p.argument(t)})
	judge(t, out)
	honest(t, report, sandbox.T3)
	p.untouched(t)
}

// TestT2OfRoot runs them where root cannot make namespaces either.
func TestT2OfRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: run as root")
	}
	if alone(t) {
		return
	}
	program, p := build(t), layout(t, "T2")
	refuseNamespaces(t)
	out, report := start(t, p, program, []string{p.argument(t)}, sandbox.WithoutNamespaces...)
	judge(t, out)
	honest(t, report, sandbox.T2)
	p.untouched(t)
}

// TestTerminal is probe 49 with a terminal that the host shares.
func TestTerminal(t *testing.T) {
	if apart(t) {
		return
	}
	program, p := build(t), layout(t, "T3")
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals: %v: mount devpts", err)
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals: %v: mount devpts", err)
	}
	defer terminal.Close()
	if out, _ := startWith(t, p, program, []string{"terminal"}, terminal, nil); strings.TrimSpace(out) != "EPERM" {
		t.Errorf("%q", out)
	}
}

// TestNoFileless is probe 51 and probe 18 where memory and written files must not run.
func TestNoFileless(t *testing.T) {
	if apart(t) {
		return
	}
	program, p := build(t), layout(t, "T3")
	out, _ := startWith(t, p, program, []string{"fileless", p.Work}, nil, func(profile *sandbox.Profile) { profile.NoFileless = true })
	if strings.TrimSpace(out) != strings.TrimSpace(strings.Repeat("EPERM ", 3)) {
		t.Errorf("%q", out)
	}
}

// TestSealedProgram is probe 87: what runs cannot be changed by what runs.
func TestSealedProgram(t *testing.T) {
	if apart(t) {
		return
	}
	p := layout(t, "T3")
	text, err := os.ReadFile(build(t))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	program := os.NewFile(uintptr(fd), "probe")
	defer program.Close()
	if _, err := program.Write(text); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL); err != nil {
		t.Fatal(err)
	}
	out, _ := startCommand(t, &sandbox.Command{Program: program, Args: []string{"probe", "sealed"}, Env: p.Env, Profile: p.profile(build(t))})
	if strings.TrimSpace(out) != "true <nil> ETXTBSY EINVAL EACCES" {
		t.Errorf("%q", out)
	}
}

// TestBubblewrap runs them in another sandbox with the same folders, so that the table
// shows the difference. It fails only if that does not run, or if it is not weaker.
func TestBubblewrap(t *testing.T) {
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		t.Skip("no bubblewrap: apt install bubblewrap")
	}
	if apart(t) {
		return
	}
	program, p := build(t), layout(t, "T3")
	p.Baseline = true
	cmd := exec.CommandContext(t.Context(), bwrap, "--unshare-all", "--die-with-parent", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin",
		"--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64",
		"--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind", filepath.Dir(program), filepath.Dir(program), "--bind", p.Work, p.Work,
		"--chdir", p.Work, program, p.argument(t))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	passed, all := 0, 0
	var table strings.Builder
	for _, r := range parse(t, string(out)) {
		all++
		if r.Pass {
			passed++
			continue
		}
		fmt.Fprintf(&table, "%3d %-50s %s, want %s\n", r.N, r.Name, strings.Join(r.Got, " "), r.Want)
	}
	t.Logf("bubblewrap: %d of %d as listed; otherwise:\n%s", passed, all, table.String())
	if passed == all {
		t.Error("as good without a filter: the probes do not see the difference")
	}
}

// TestServersRun: probe 121, probe 122: interpreters start and do ordinary things.
func TestServersRun(t *testing.T) {
	if apart(t) {
		return
	}
	p := layout(t, "T3")
	for name, c := range map[string]struct{ program, code, flag string }{
		"node": {"/usr/bin/node", `const os=require('os'),fs=require('fs'),w=require('worker_threads');
			if(!w.isMainThread){w.parentPort.postMessage(1)}else{
			fs.writeFileSync('/tmp/a','b');os.cpus();os.networkInterfaces();require('child_process').execFileSync('/bin/true');
			new w.Worker('require("worker_threads").parentPort.postMessage(1)',{eval:true}).on('message',m=>console.log('works'))}`, "-e"},
		"python": {"/usr/bin/python3", `import os,tempfile,threading,subprocess,time,ssl,locale
t=threading.Thread(target=lambda:tempfile.NamedTemporaryFile());t.start();t.join()
subprocess.run(['/bin/true'],check=True);time.tzset();ssl.create_default_context();locale.setlocale(locale.LC_ALL,'');os.cpu_count()
print('works')`, "-c"},
		"shell": {"/bin/sh", `ls / | sort | head -1 >/dev/null; echo works`, "-c"},
	} {
		path, err := filepath.EvalSymlinks(c.program)
		if err != nil {
			t.Logf("%s: not installed", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			if out, _ := start(t, p, path, []string{c.flag, c.code}); strings.TrimSpace(out) != "works" {
				t.Errorf("%q", out)
			}
		})
	}
}

// TestHarmless: the program does nothing where nothing confines it.
func TestHarmless(t *testing.T) {
	program := build(t)
	p := &place{Tier: "T3", Baseline: true}
	var errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, p.argument(t))
	cmd.Stderr = &errs
	if out, err := cmd.Output(); err == nil || len(out) > 0 || !strings.Contains(errs.String(), "refuses") {
		t.Errorf("%v %s %s", err, out, errs.String())
	}
}

// refuseNamespaces puts the test's process under a filter like that of a container.
func refuseNamespaces(t *testing.T) {
	t.Helper()
	const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_UNSHARE, Jt: 3},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: namespaces, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 || r != 0 {
		t.Fatal(r, errno)
	}
}
