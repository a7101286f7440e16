package stdio_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

const bare = "MCPSEC_TEST_BARE"

// withoutNamespaces reports whether the caller runs where no namespace can be made, as in
// a container with its engine's default filter. If not, it has run the calling test once
// more in such a process of an ordinary user.
func withoutNamespaces(t *testing.T) bool {
	t.Helper()
	if os.Getenv(bare) != "" {
		forbid(t)
		return true
	}
	if asuser.Again(t) {
		return false
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), bare+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("without namespaces: %v\n%s", err, out)
	}
	t.Logf("without namespaces:\n%s", out)
	return false
}

// forbid makes clone and unshare fail where they ask for namespaces, for all threads.
func forbid(t *testing.T) {
	t.Helper()
	numbers := struct{ clone, unshare uint32 }{unix.SYS_CLONE, unix.SYS_UNSHARE}
	const deny = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: numbers.unshare, Jt: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE3, Jt: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: numbers.clone, Jf: 4},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID, Jf: 2},
		{Code: unix.BPF_RET | unix.BPF_K, K: deny},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	// TSYNC gives no_new_privs to the other threads too.
	must(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 {
		t.Fatal(errno)
	}
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	if err := cmd.Run(); !errors.Is(err, unix.EPERM) {
		t.Fatalf("a namespace was made: %v", err)
	}
}

// namespaces are what a container takes away.
var namespaces = []sandbox.Control{
	sandbox.UserNamespace, sandbox.MountNamespace, sandbox.PIDNamespace, sandbox.IPCNamespace, sandbox.UTSNamespace, sandbox.NetNamespace,
	sandbox.CgroupNamespace, sandbox.Proc, sandbox.Tree, sandbox.Capabilities,
}

func TestWithoutNamespacesOnlyIfAllowed(t *testing.T) {
	if !withoutNamespaces(t) {
		return
	}
	l, told := confined(t, python(t), "/usr/bin/python3", "-u", "server.py")
	l.Profile.System = true
	if _, err := connect(t, l); err == nil || !strings.Contains(err.Error(), "namespace") {
		t.Fatalf("%v", err)
	}
	if len(told.of(stdio.Refused)) != 1 {
		t.Errorf("events %v", told.list)
	}
}

func TestServersWithoutNamespaces(t *testing.T) {
	if !withoutNamespaces(t) {
		return
	}
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "secret")
	config, certificate := world(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, certificate, 0o644))
	l, told := confined(t, python(t), "/usr/bin/python3", "-u", "server.py")
	l.Profile = sandbox.Profile{System: true, Egress: []string{"example.com"}, Read: []string{ca, "/etc/resolv.conf"}}
	l.Egress, l.Allow = config, namespaces
	l.Env, l.UnsafeEnv = []string{"SSL_CERT_FILE=" + ca}, []string{"SSL_CERT_FILE"}
	s := session(t, l)
	if l.Report().Tier != sandbox.T2 {
		t.Errorf("tier %s", l.Report().Tier)
	}
	for _, line := range (script{
		{"echo", map[string]any{"text": "hello"}, "hello"},
		{"read", map[string]any{"path": secret}, "PermissionError"},
		{"read", map[string]any{"path": "/etc/shadow"}, "PermissionError"},
		{"temp", map[string]any{}, "temporary"},
		{"thread", map[string]any{}, "from a thread"},
		{"fetch", map[string]any{"url": "https://example.com/"}, "hello from example.com"},
	}) {
		if got := call(t, s, line.tool, line.args); !strings.Contains(got, line.want) {
			t.Errorf("%s: %s, want %s", line.tool, got, line.want)
		}
	}
	for _, url := range []string{"https://evil.example/", "https://169.254.169.254/latest/meta-data", "https://93.184.215.14/"} {
		tried(t, s, "fetch", map[string]any{"url": url})
	}
	must(t, s.Close())
	if len(told.of(stdio.Degraded)) == 0 {
		t.Errorf("events %v", told.list)
	}
}

// A program that knows no proxy asks name servers by TCP and connects as it likes.
func TestEgressByNameWithoutNamespaces(t *testing.T) {
	if !withoutNamespaces(t) {
		return
	}
	config, certificate := world(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, certificate, 0o644))
	l, _ := confined(t, python(t), "/usr/bin/python3", "-u", "server.py")
	l.Profile = sandbox.Profile{System: true, Egress: []string{"example.com"}, Read: []string{ca, "/etc/resolv.conf"}}
	l.Egress, l.Allow = config, namespaces
	l.Env = []string{"SSL_CERT_FILE=" + ca, "HTTPS_PROXY=", "https_proxy="}
	l.UnsafeEnv = []string{"SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy"}
	s := session(t, l)
	if got := call(t, s, "fetch", map[string]any{"url": "https://example.com/"}); got != "hello from example.com" {
		t.Error(got)
	}
	for _, url := range []string{"https://evil.example/", "https://169.254.169.254/latest/meta-data"} {
		tried(t, s, "fetch", map[string]any{"url": url})
	}
}
