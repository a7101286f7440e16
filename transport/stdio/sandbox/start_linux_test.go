//go:build linux && (amd64 || arm64)

package sandbox

import (
	"debug/elf"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"golang.org/x/sys/unix"
)

// file makes a file in a folder that everybody may enter.
func file(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(asuser.Dir(t), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// header is the start of a program for a machine.
func header(class elf.Class, machine elf.Machine) string {
	h := make([]byte, 64)
	copy(h, elf.ELFMAG)
	h[elf.EI_CLASS], h[elf.EI_DATA], h[elf.EI_VERSION] = byte(class), byte(elf.ELFDATA2LSB), 1
	h[16], h[18], h[19], h[20] = byte(elf.ET_EXEC), byte(machine), byte(machine>>8), 1
	return string(h)
}

func TestWhatCannotBeStarted(t *testing.T) {
	t.Parallel()
	if asuser.Again(t) {
		return
	}
	other := map[elf.Machine]elf.Machine{elf.EM_X86_64: elf.EM_AARCH64, elf.EM_AARCH64: elf.EM_X86_64}[ownMachine]
	text := file(t, "text", "no program\n", 0o644)
	for name, tt := range map[string]struct {
		path string
		exec []string
		want string
		is   error
	}{
		"nothing there":                    {"/usr/bin/nonexistent", nil, "no such file", os.ErrNotExist},
		"a folder":                         {"/usr/bin", nil, "not a file", nil},
		"not executable":                   {text, []string{text}, "not executable", nil},
		"not in the profile":               {file(t, "script", "#!/bin/sh\n", 0o755), nil, "add it to Exec", nil},
		"readable in the profile, no more": {"/etc/ld.so.cache", nil, "add it to Exec", nil},
		"a relative path":                  {"bin/sh", nil, "not an absolute", nil},
		"a path that goes back":            {"/usr/bin/../bin/sh", nil, "not an absolute, clean", nil},
		"another architecture":             {file(t, "other", header(elf.ELFCLASS64, other), 0o755), []string{"+"}, "this machine runs", nil},
		"32 bits":                          {file(t, "old", header(elf.ELFCLASS32, elf.EM_386), 0o755), []string{"+"}, "this machine runs", nil},
		"an interpreter that is not there": {file(t, "lost", "#!/nonexistent/sh\n", 0o755), []string{"+"}, `step "execve": execve: no such file`, syscall.ENOENT},
		"neither a script nor a program":   {file(t, "garbage", "garbage", 0o755), []string{"+"}, `step "execve": execve: exec format`, syscall.ENOEXEC},
		"a program with a header only":     {file(t, "header", header(elf.ELFCLASS64, ownMachine), 0o755), []string{"+"}, `step "execve"`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := shell("")
			c.Path = tt.path
			for _, x := range tt.exec {
				c.Profile.Exec = append(c.Profile.Exec, strings.Replace(x, "+", tt.path, 1))
			}
			p, err := Start(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v, %v; want an error that says %q", p, err, tt.want)
			}
		})
	}
}

func TestCommandsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Command){
		"no arguments":                   func(c *Command) { c.Args = nil },
		"hosts and nobody to serve":      func(c *Command) { c.Profile.Egress = []string{"example.com"} },
		"a negative limit":               func(c *Command) { c.Profile.Limits.Memory = -1 },
		"a negative user":                func(c *Command) { c.User = -1 },
		"the whole file system":          func(c *Command) { c.Profile.Read = []string{"/"} },
		"the host's proc":                func(c *Command) { c.Profile.Read = []string{"/proc/1"} },
		"a device":                       func(c *Command) { c.Profile.Write = []string{"/dev/null"} },
		"a relative path":                func(c *Command) { c.Profile.Read = []string{"etc"} },
		"a path that is not there":       func(c *Command) { c.Profile.Read = []string{"/nonexistent"} },
		"written and executed":           func(c *Command) { c.Profile.Write = []string{"/usr/lib"} },
		"a zero byte in an argument":     func(c *Command) { c.Args = append(c.Args, "a\x00b") },
		"a zero byte in the environment": func(c *Command) { c.Env = append(c.Env, "A=a\x00B=b") },
		"a system call that breaks it":   func(c *Command) { c.Profile.Syscalls = []string{"mount"} },
		"a mount at a relative place":    func(c *Command) { c.Mounts = []Mount{{Source: "/etc", Target: "x"}} },
		"a mount over proc":              func(c *Command) { c.Mounts = []Mount{{Source: "/etc", Target: "/proc/x"}} },
		"a mount on nothing":             func(c *Command) { c.Mounts = []Mount{{Source: "/etc", Target: "/usr/nonexistent"}} },
		"the proxy's own port":           func(c *Command) { c.Profile.Egress, c.Network = []string{"h:3128"}, func(Network) error { return nil } },
		"the network fails": func(c *Command) {
			c.Profile.Egress, c.Network = []string{"h"}, func(Network) error { return io.ErrNoProgress }
		},
		"no such directory": func(c *Command) { c.Profile.Dir = "/nonexistent" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := shell("true")
			change(c)
			if p, err := Start(t.Context(), c); err == nil {
				t.Errorf("started: %+v", p)
			}
		})
	}
	if _, err := Start(t.Context(), nil); err == nil {
		t.Error("started nothing")
	}
}

// The program sees what the profile names, as it names it, and nothing else.
func TestView(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"root", "ordinary"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			if user == "ordinary" && asuser.Again(t) {
				return
			}
			dir := asuser.Dir(t)
			mustDo(t, os.MkdirAll(dir+"/data/sub", 0o755), os.MkdirAll(dir+"/work", 0o755), os.MkdirAll(dir+"/hidden", 0o755),
				os.WriteFile(dir+"/data/file", []byte("content"), 0o644), os.WriteFile(dir+"/hidden/secret", []byte("secret"), 0o644),
				os.WriteFile(dir+"/data/sub/run", []byte("#!/bin/sh\necho ran\n"), 0o755),
				os.Symlink("data", dir+"/link"), os.Symlink("../hidden/secret", dir+"/data/escape"),
				os.Chmod(dir+"/work", 0o777))
			c := shell(strings.ReplaceAll(`
cat D/link/file && echo
cat D/data/escape 2>&1; ls D/hidden 2>&1
echo x 2>&1 > D/data/file; echo y > D/work/new && cat D/work/new
/mnt/tool/run 2>&1; D/data/sub/run 2>&1
cp /bin/true D/work/true; D/work/true 2>&1 || echo refused
cp /bin/true /tmp/true; /tmp/true 2>&1 || echo refused
touch /x /usr/x /etc/x 2>&1; ls /root /home /sys /mnt/tool 2>&1
`, "D", dir))
			c.Profile.Read = []string{dir + "/link"}
			c.Profile.Write = []string{dir + "/work"}
			c.Mounts = []Mount{{Source: dir + "/data/sub", Target: "/mnt/tool", Exec: true}}
			out, _, _ := output(t, c)
			t.Log(out)
			for _, want := range []string{
				"content\n", "escape: No such file", "hidden': No such file", "y\n", "ran\n", "sub/run: Permission denied",
				"work/true: Permission denied\nrefused", "/tmp/true: Permission denied\nrefused", "touch: cannot touch '/x'", "touch: cannot touch '/usr/x'",
				"touch: cannot touch '/etc/x'", "'/root': No such file", "'/home': No such file", "'/sys': No such file", "\nrun\n",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("without %q", want)
				}
			}
			if text, err := os.ReadFile(dir + "/data/file"); err != nil || string(text) != "content" {
				t.Errorf("the host's file is %q, %v", text, err)
			}
			if names, err := filepath.Glob(dir + "/*"); err != nil || len(names) != 4 {
				t.Errorf("the host's folder has %v", names)
			}
		})
	}
}

func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Nothing of the host comes along: descriptors that are not closed on exec, signals that
// it ignores, its environment, its groups.
func TestNothingIsInherited(t *testing.T) { //nolint:paralleltest // changes this process
	signal.Ignore(syscall.SIGUSR2)
	defer signal.Reset(syscall.SIGUSR2)
	for _, fd := range []int{10, 251} {
		if err := unix.Dup3(2, fd, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
	}
	if got, err := unix.FcntlInt(251, unix.F_GETFD, 0); err != nil || got&unix.FD_CLOEXEC != 0 {
		t.Fatalf("descriptor 251 would not be inherited anyway: %d, %v", got, err)
	}
	c := shell("ls /proc/self/fd; env; grep -E '^(Sig(Ign|Blk)|Groups)' /proc/self/status; cat /proc/1/environ | tr '\\0' '\\n'")
	c.Env = []string{"ONLY=this"}
	out, _, _ := output(t, c)
	lines := strings.Fields(out)
	if !slices.Equal(lines[:4], []string{"0", "1", "2", "3"}) { // 3 is the folder that ls reads
		t.Errorf("descriptors %v", lines[:4])
	}
	for _, want := range []string{"SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "Groups:\t \n", "\nONLY=this\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("without %q:\n%s", want, out)
		}
	}
	for _, hidden := range []string{"HOME=/root", "GOCACHE", "GOPATH"} {
		if strings.Contains(out, hidden) {
			t.Errorf("with %s", hidden)
		}
	}
}

func TestProgramInMemory(t *testing.T) {
	t.Parallel()
	for name, machine := range map[string]func(*host){"T3": func(*host) {}, "T2": cloneWithout(^uintptr(0)&^0xff&^unix.CLONE_VM, unix.EPERM)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fd, err := unix.MemfdCreate("program", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
			if err != nil {
				t.Fatal(err)
			}
			program := os.NewFile(uintptr(fd), "program")
			defer func() { _ = program.Close() }()
			binary, err := os.ReadFile(target(t))
			mustDo(t, err)
			_, err = program.Write(binary)
			mustDo(t, err, program.Chmod(0o755))
			c := &Command{Program: program, Args: []string{"program"}, Allow: WithoutNamespaces}
			p, err := lacking(t, machine).Start(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if state, err := p.Wait(); err != nil || !state.Success() {
				t.Errorf("%v, %v", state, err)
			}
			if p.Report().Tier != Tier(name) {
				t.Errorf("tier %s", p.Report().Tier)
			}
		})
	}
}

// A connection to any made-up address arrives at the host, which sees which one it was.
func TestSocketsOfTheHostInside(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"root", "ordinary"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			if user == "ordinary" && asuser.Again(t) {
				return
			}
			c := shell(`bash -c 'for a in 198.18.0.7/443 198.19.255.9/8443 127.0.0.1/3128; do exec 3<>/dev/tcp/$a; head -1 <&3; done
for a in 203.0.113.1/443 127.0.0.1/22 169.254.169.254/80; do (exec 3<>/dev/tcp/$a) 2>&1 | head -1; done
echo -n question >/dev/udp/127.0.0.53/53; cat /etc/resolv.conf; read x'`)
			c.Profile.Egress = []string{"example.com", "example.org:8443"}
			in, hold, err := os.Pipe()
			mustDo(t, err)
			c.Stdin = in
			asked := make(chan string, 1)
			c.Network = func(n Network) error {
				greet := func(l net.Listener) {
					for {
						conn, err := l.Accept()
						if err != nil {
							return
						}
						_, _ = io.WriteString(conn, "to "+netip.MustParseAddrPort(conn.LocalAddr().String()).String()+"\n")
						_ = conn.Close()
					}
				}
				for _, l := range append(n.Transparent, n.Proxy) {
					go greet(l)
				}
				go func() {
					b := make([]byte, 64)
					size, _, _ := n.DNS.ReadFrom(b)
					asked <- string(b[:size])
					_ = hold.Close()
				}()
				return nil
			}
			out, _, report := output(t, c)
			_ = in.Close()
			if q := <-asked; q != "question" {
				t.Errorf("the name server was asked %q", q)
			}
			for _, want := range []string{
				"to 198.18.0.7:443\nto 198.19.255.9:8443\nto 127.0.0.1:3128\n", "nameserver 127.0.0.53",
				"connect: Network is unreachable\nbash: connect: Permission denied\nbash: connect: Network is unreachable\n",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("without %q:\n%s", want, out)
				}
			}
			if i := slices.Index(everything, Egress); !report.Controls[i].Verified {
				t.Errorf("%+v", report.Controls[i])
			}
		})
	}
}

// A child that changes its user makes the host's memory undumpable for as long as it
// shares it. After that the host is what it was.
func TestTheHostStaysDumpable(t *testing.T) { //nolint:paralleltest // of this process
	if os.Getuid() != 0 {
		t.Skip("not root: there is no change of user")
	}
	dumpable := func() int {
		d, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		mustDo(t, err)
		return d
	}
	defer func() { mustDo(t, unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)) }()
	for _, before := range []int{1, 0} {
		mustDo(t, unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(before), 0, 0, 0))
		for name, change := range map[string]func(*Command){
			"a start":   func(c *Command) {},
			"a failure": func(c *Command) { c.Profile.Dir = "/nonexistent" },
		} {
			during := -1
			c := shell("true")
			c.Profile.Egress = []string{"example.com"}
			c.Network = func(Network) error { during = dumpable(); return nil }
			change(c)
			if p, err := Start(t.Context(), c); err == nil {
				_, err = p.Wait()
				mustDo(t, err)
				if during != 0 {
					t.Errorf("during %s: %d", name, during)
				}
			}
			if after := dumpable(); after != before {
				t.Errorf("%d before %s, %d after it", before, name, after)
			}
		}
	}
}

// An ordinary user's host that is not dumpable is told so.
func TestUndumpableHost(t *testing.T) { //nolint:paralleltest // of this process
	if asuser.Again(t) {
		return
	}
	mustDo(t, unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	defer func() { mustDo(t, unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)) }()
	var u *UnavailableError
	if _, err := Start(t.Context(), shell("true")); !errors.As(err, &u) || u.Control != UserNamespace || !strings.Contains(err.Error(), "PR_SET_DUMPABLE") {
		t.Errorf("%v", err)
	}
}
