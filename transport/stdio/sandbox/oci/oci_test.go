//go:build linux

package oci_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/oci"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// withoutLandlock is what every command has to allow.
var withoutLandlock = []sandbox.Control{sandbox.LandlockFiles}

// A rig is a shell in a container.
type rig struct {
	sandbox.Process

	t   *testing.T
	in  *os.File
	out *bufio.Reader
}

func start(t *testing.T, runtime string, profile sandbox.Profile, change func(*sandbox.Command)) *rig {
	t.Helper()
	return startBy(t, installed(t, runtime), profile, change)
}

func startBy(t *testing.T, program string, profile sandbox.Profile, change func(*sandbox.Command)) *rig {
	t.Helper()
	profile.System = true
	c := &sandbox.Command{Path: "/bin/sh", Args: []string{"sh"}, Env: []string{"PATH=/usr/bin:/bin", "HOME=/tmp"}, Profile: profile, Allow: withoutLandlock}
	if change != nil {
		change(c)
	}
	inR, inW := pipe(t)
	outR, outW := pipe(t)
	said, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = said.Close() }()
	c.Stdin, c.Stdout, c.Stderr = inR, outW, said
	p, err := (&oci.Runtime{Path: program, Dir: asuser.Dir(t)}).Start(t.Context(), c)
	_, _ = inR.Close(), outW.Close()
	if err != nil {
		message, _ := os.ReadFile(said.Name())
		t.Fatalf("%v\n%s", err, message)
	}
	r := &rig{p, t, inW, bufio.NewReader(outR)}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.Kill(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// run gives the shell a command and returns what it prints, one line.
func (r *rig) run(command string) string {
	r.t.Helper()
	if _, err := fmt.Fprintf(r.in, "{ %s ; } 2>&1 | tr '\\n' ' ' ; echo\n", command); err != nil {
		r.t.Fatal(err)
	}
	line, err := r.out.ReadString('\n')
	if err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(line)
}

// The attacks run inside, never outside.
func TestContained(t *testing.T) {
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) { contained(t, runtime) })
	}
}

func TestContainedAsOrdinaryUser(t *testing.T) {
	if asuser.Again(t) {
		return
	}
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) { contained(t, runtime) })
	}
}

func contained(t *testing.T, runtime string) {
	t.Helper()
	outside, work := asuser.Dir(t), asuser.Dir(t)
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(work, asuser.UID, asuser.UID); err != nil {
			t.Fatal(err)
		}
	}
	r := start(t, runtime, sandbox.Profile{Write: []string{work}}, func(c *sandbox.Command) { c.User = asuser.UID })
	for attack, test := range map[string]struct{ command, want string }{
		"read outside":              {"cat " + secret, "No such file"},
		"read shadow":               {"cat /etc/shadow", "No such file"},
		"write to the system":       {"touch /usr/x", "Read-only file system|Permission denied"},
		"write to the root":         {"touch /x", "Read-only file system|Permission denied"},
		"execute what it wrote":     {"cp /bin/true " + work + "/t; " + work + "/t", "Permission denied"},
		"execute from /tmp":         {"cp /bin/true /tmp/t; /tmp/t", "Permission denied"},
		"unshare":                   {"unshare -U true", "not permitted"},
		"mount":                     {"mount -t tmpfs x /tmp", "denied|not permitted|must be superuser"},
		"other processes":           {"ls /proc | grep -c '^[0-9]' | awk '{print ($1 < 10) ? \"few\" : \"many\"}'", "few"},
		"host's network":            {"cat /proc/net/dev | grep -c : ", "1"},
		"change the host name":      {"hostname evil", "not permitted|must be root"},
		"kernel settings":           {"echo x > /proc/sys/kernel/core_pattern", "Read-only|denied"},
		"a call that is not listed": {"perl -e 'socket(S, 1, 1, 0) or print $!'", "not permitted"}, // AF_UNIX
		"a call to do without":      {"perl -e 'syscall(435, 0, 0); print $!'", "not implemented"}, // clone3
		"environment":               {"env | grep -c SECRET", "0"},
	} {
		got := r.run(test.command)
		ok := false
		for want := range strings.SplitSeq(test.want, "|") {
			ok = ok || strings.Contains(got, want)
		}
		if !ok {
			t.Errorf("%s: %q, want %q", attack, got, test.want)
		}
	}
	if got := r.run("echo hello > " + work + "/f && cat " + work + "/f"); got != "hello" {
		t.Errorf("its own folder: %q", got)
	}
	if got := r.run("echo hello > /tmp/f && cat /tmp/f"); got != "hello" {
		t.Errorf("its own /tmp: %q", got)
	}
	report := r.Report()
	if report.Tier != sandbox.T3 || report.Mechanism != "oci:"+runtime {
		t.Errorf("the report is %+v", report)
	}
	for _, f := range report.Controls {
		if f.Required && (!f.InForce || !f.Verified) {
			t.Errorf("%s: %+v", f.Control, f)
		}
	}
	// The end of standard input ends the program, and its code is that of the process.
	if _, err := r.in.WriteString("exit 7\n"); err != nil {
		t.Fatal(err)
	}
	state, err := r.Wait()
	if err != nil || state.ExitCode() != 7 {
		t.Errorf("%v, %v", state, err)
	}
}

func TestNothingStays(t *testing.T) {
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			r := start(t, runtime, sandbox.Profile{}, nil)
			r.run("(setsid sleep 1000 >/dev/null 2>&1 & ) ; echo")
			pid := r.PID()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := r.Kill(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
				t.Error("the first process is there still")
			}
			if state, err := r.Wait(); err != nil || state.Success() {
				t.Errorf("%v, %v", state, err)
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	for fault, test := range map[string]struct {
		runtime oci.Runtime
		command sandbox.Command
		want    string
	}{
		"no runtime":                  {oci.Runtime{Path: "no-such-runtime"}, sandbox.Command{Path: "/bin/true"}, "there is no runtime"},
		"runtime by relative path":    {oci.Runtime{Path: "./runc"}, sandbox.Command{Path: "/bin/true"}, "neither an absolute path nor a name"},
		"runtime that is no program":  {oci.Runtime{Path: "/etc/passwd"}, sandbox.Command{Path: "/bin/true"}, "permission denied"},
		"program by relative path":    {oci.Runtime{Path: "/bin/true"}, sandbox.Command{Path: "true"}, "no absolute path"},
		"call that breaks it":         {oci.Runtime{Path: "/bin/true"}, sandbox.Command{Path: "/bin/true", Profile: sandbox.Profile{Syscalls: []string{"mount"}}}, "break the sandbox"},
		"path that is not there":      {oci.Runtime{Path: "/bin/true"}, sandbox.Command{Path: "/bin/true", Profile: sandbox.Profile{Read: []string{"/no/such"}}}, "/no/such"},
		"Landlock is asked for":       {oci.Runtime{Path: "/bin/true"}, sandbox.Command{Path: "/bin/true"}, "landlock-files cannot be put in force"},
		"runtime that starts nothing": {oci.Runtime{Path: "/bin/true"}, sandbox.Command{Path: "/bin/true"}, "ended before the program ran"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			test.runtime.Dir = t.TempDir()
			if fault != "Landlock is asked for" {
				test.command.Allow = withoutLandlock
			}
			_, err := test.runtime.Start(t.Context(), &test.command)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if left, _ := os.ReadDir(test.runtime.Dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// Of two paths the narrower one counts, whichever way round.
func TestOneFolderWithinAnother(t *testing.T) {
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			profile := sandbox.Profile{}
			for _, names := range []*[]string{&profile.Read, &profile.Write} {
				dir := asuser.Dir(t)
				inner := filepath.Join(dir, "inner")
				if err := os.Mkdir(inner, 0o755); err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{dir, inner} {
					if err := os.Chown(name, asuser.UID, asuser.UID); err != nil {
						t.Skipf("reason: only root can give a folder away: %v", err)
					}
				}
				*names = append(*names, dir)
			}
			profile.Read, profile.Write = append(profile.Read, profile.Write[0]+"/inner"), append(profile.Write, profile.Read[0]+"/inner")
			r := start(t, runtime, profile, func(c *sandbox.Command) { c.User = asuser.UID })
			for name, want := range map[string]string{
				profile.Read[0]: "Read-only file system", profile.Read[0] + "/inner": "", profile.Write[0]: "", profile.Write[0] + "/inner": "Read-only file system",
			} {
				if got := r.run("touch " + name + "/x"); (want == "") != (got == "") || !strings.Contains(got, want) {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// A single file that is written is not executed, or the start is refused where the runtime
// cannot see to that.
func TestOneFileThatIsWritten(t *testing.T) {
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			program := installed(t, runtime)
			dir := asuser.Dir(t)
			name := asuser.Copy(t, dir, "/bin/true")
			if os.Getuid() == 0 {
				if err := os.Chown(name, asuser.UID, asuser.UID); err != nil {
					t.Fatal(err)
				}
			}
			inR, inW := pipe(t)
			outR, outW := pipe(t)
			p, err := (&oci.Runtime{Path: program, Dir: asuser.Dir(t)}).Start(t.Context(), &sandbox.Command{
				Path: "/bin/sh", Args: []string{"sh", "-c", "read line; " + name + " && echo ran || echo refused"}, Stdin: inR, Stdout: outW, User: asuser.UID,
				Profile: sandbox.Profile{System: true, Write: []string{name}}, Allow: withoutLandlock,
			})
			_, _ = inW.Close(), outW.Close() // the line ends
			if err != nil {
				if !strings.Contains(err.Error(), name+" is mounted without") {
					t.Fatal(err)
				}
				t.Skipf("reason: %s cannot restrict a single file, and is refused: %v", runtime, err)
			}
			if line, err := bufio.NewReader(outR).ReadString('\n'); err != nil || line != "refused\n" {
				t.Errorf("%q, %v", line, err)
			}
			if _, err := p.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What somebody has mounted below a folder has the rights of the folder.
func TestMountedBelow(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("reason: the files below are written to from a container of root's")
	}
	for _, runtime := range []string{"runc", "crun"} {
		t.Run(runtime, func(t *testing.T) {
			dir := asuser.Dir(t)
			below := filepath.Join(dir, "below")
			if err := os.Mkdir(below, 0o755); err != nil {
				t.Fatal(err)
			}
			program := behind(t, installed(t, runtime), "mount -t tmpfs -o mode=777 tmpfs "+below+" && cp /bin/true "+below)
			r := startBy(t, program, sandbox.Profile{Read: []string{dir}}, nil)
			if got := r.run("touch " + below + "/x"); !strings.Contains(got, "Read-only file system") {
				t.Errorf("written: %q", got)
			}
			if got := r.run(below + "/true && echo ran"); strings.Contains(got, "ran") {
				t.Errorf("executed: %q", got)
			}
		})
	}
}

// What the proxy listens on is not to be had, and says so before anything is started.
func TestThePortOfTheProxy(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("reason: only root can give a container a network namespace")
	}
	program := installed(t, "runc")
	_, err := (&oci.Runtime{Path: program, Dir: asuser.Dir(t)}).Start(t.Context(), &sandbox.Command{
		Path: "/bin/true", Profile: sandbox.Profile{Egress: []string{"made.up:3128"}}, Allow: withoutLandlock,
		Network: func(sandbox.Network) error { return nil },
	})
	if err == nil || !strings.Contains(err.Error(), "port 3128 inside is the proxy's") {
		t.Errorf("%v", err)
	}
}

// Root can give the container sockets of ours: see package egress for what serves them.
func TestNetworkOfOurSockets(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("reason: only root can give a container a network namespace")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("reason: curl is not installed: apt install curl")
	}
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			served := make(chan struct{})
			r := start(t, runtime, sandbox.Profile{Egress: []string{"made.up:8080"}}, func(c *sandbox.Command) {
				c.Network = func(n sandbox.Network) error {
					// Those that every program tries are refused by who serves them, and on record.
					var ports []int
					for _, l := range n.Transparent {
						at, _ := l.Addr().(*net.TCPAddr)
						ports = append(ports, at.Port)
					}
					if want := []int{80, 443, 8080}; !slices.Equal(ports, want) {
						t.Errorf("ports %v, want %v, as with the direct mechanism", ports, want)
					}
					go func() {
						defer close(served)
						_ = http.Serve(n.Transparent[len(n.Transparent)-1], http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
							_, _ = fmt.Fprint(w, req.Context().Value(http.LocalAddrContextKey))
						}))
					}()
					t.Cleanup(func() {
						_, _ = n.Proxy.Close(), n.DNS.Close()
						for _, l := range n.Transparent {
							_ = l.Close()
						}
						<-served
					})
					return nil
				}
			})
			if got := r.run("curl -s --max-time 60 http://198.18.7.9:8080/"); got != "198.18.7.9:8080" {
				t.Errorf("a made-up address: %q", got)
			}
			if got := r.run("curl -s --max-time 5 http://192.0.2.1/ || echo failed"); got != "failed" {
				t.Errorf("a real address: %q", got)
			}
		})
	}
}
