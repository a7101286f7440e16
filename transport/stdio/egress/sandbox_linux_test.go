//go:build amd64 || arm64

package egress_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// fetchVariable tells the test's own binary to be a client of Go's.
const fetchVariable = "MCPSEC_TEST_FETCH"

func init() {
	target := os.Getenv(fetchVariable)
	if target == "" {
		return
	}
	client := &http.Client{Timeout: time.Minute}
	res, err := client.Get(target)
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	io.Copy(os.Stdout, res.Body)
	if res.StatusCode != http.StatusOK {
		os.Exit(1)
	}
	os.Exit(0)
}

// inside runs a program in a sandbox and returns what it wrote.
func inside(t *testing.T, w *egress.World, tier sandbox.Tier, env []string, args ...string) (string, bool) {
	t.Helper()
	needs := args[0]
	if needs == "sh" {
		needs = "wget"
	}
	if _, err := exec.LookPath(needs); err != nil {
		t.Skipf("reason: %s is not installed: apt install %s", needs, filepath.Base(needs))
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		t.Fatal(err)
	}
	server, err := egress.NewServer(w.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	var supervised sync.WaitGroup
	defer func() {
		cancel()
		supervised.Wait()
		server.Close()
	}()
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	command := &sandbox.Command{
		Path: path, Args: args,
		Env: append([]string{
			"PATH=/usr/bin:/bin", "HOME=/tmp", "CURL_CA_BUNDLE=" + w.RootFile, "SSL_CERT_FILE=" + w.RootFile,
			"NODE_EXTRA_CA_CERTS=" + w.RootFile, "GIT_SSL_CAINFO=" + w.RootFile,
			"GIT_CONFIG_NOSYSTEM=1", "SYSTEM_WGETRC=/dev/null",
		}, env...),
		Stdin: null, Stdout: out, Stderr: out,
		Profile: sandbox.Profile{System: true, Read: []string{w.RootFile}, Exec: []string{path}, Egress: w.Rules},
		Network: func(n sandbox.Network) error {
			if n.Notify == nil {
				return server.Serve(egress.Sockets{Proxy: n.Proxy, Transparent: n.Transparent, DNS: n.DNS})
			}
			supervised.Go(func() {
				if err := n.Supervise(ctx, server.Connect); err != nil && ctx.Err() == nil {
					t.Errorf("Supervise: %v", err)
				}
			})
			return nil
		},
	}
	if tier == sandbox.T2 {
		command.Env = append(command.Env, "RES_OPTIONS=use-vc")
		command.Allow = []sandbox.Control{
			sandbox.UserNamespace, sandbox.MountNamespace, sandbox.PIDNamespace, sandbox.IPCNamespace, sandbox.UTSNamespace,
			sandbox.NetNamespace, sandbox.CgroupNamespace, sandbox.Proc, sandbox.Capabilities, sandbox.Cgroup, sandbox.Tree,
		}
	}
	p, err := sandbox.Start(ctx, command)
	out.Close()
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	if got := p.Report().Tier; got != tier {
		t.Errorf("the sandbox is of %s, want %s", got, tier)
	}
	kill := context.AfterFunc(ctx, func() { p.Kill(context.Background()) })
	defer kill()
	text, _ := io.ReadAll(r)
	state, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), state.Success()
}

// clients are commands that fetch a URL and know of no proxy, unless the environment names
// one.
func clients(t *testing.T) map[string]func(url string) []string {
	t.Helper()
	const python = `
import sys, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())
except Exception as e:
    print("failed", e); sys.exit(1)
`
	const node = `fetch(process.argv[1]).then(r => r.text().then(t => { console.log(t); process.exit(r.ok ? 0 : 1) }), e => { console.log("failed", e.cause || e); process.exit(1) })`
	return map[string]func(url string) []string{
		"curl":   func(url string) []string { return []string{"curl", "-fsS", "--max-time", "60", url} },
		"python": func(url string) []string { return []string{"/usr/bin/python3", "-c", python, url} },
		"node":   func(url string) []string { return []string{"/usr/bin/node", "-e", node, url} },
		"git":    func(url string) []string { return []string{"git", "ls-remote", url} },
		"wget": func(url string) []string {
			return []string{"sh", "-c", `exec wget -nv -O- --tries=1 --timeout=60 --ca-certificate="$SSL_CERT_FILE" "$0"`, url}
		},
		"go": func(string) []string { return []string{self(t)} },
	}
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// reach has a client fetch a listed URL and ones that are not.
func reach(t *testing.T, tier sandbox.Tier, name string, args func(url string) []string, env ...string) {
	t.Helper()
	get := func(w *egress.World, url string) (string, bool) {
		env := slices.Clone(env)
		if name == "go" {
			env = append(env, fetchVariable+"="+url)
		}
		return inside(t, w, tier, env, args(url)...)
	}
	w := egress.NewWorld(t)
	for url, want := range map[string]string{"https://a.wild.test/x": "host=a.wild.test path=/x", "http://plain.test/y": "host=plain.test path=/y"} {
		if name == "git" { // what answers is no repository: it lists nothing
			want = ""
		}
		if got, ok := get(w, url); !ok || !strings.Contains(got, want) {
			t.Errorf("%s: %q", url, got)
		}
	}
	if d := w.Dialled(); !slices.Contains(d, "93.184.216.35:443") || !slices.Contains(d, "93.184.216.36:80") {
		t.Errorf("dialled %v", d)
	}
	for _, url := range []string{
		"https://denied.test/x", "http://169.254.169.254/latest/meta-data", "https://8.8.8.8/", "http://rebind.test/", "http://127.0.0.1:8080/",
	} {
		w := egress.NewWorld(t)
		if got, ok := get(w, url); ok && (got != "" || name != "node") { // Node ends quietly if a connection is closed at once
			t.Errorf("%s: %q", url, got)
		}
		if d := w.Dialled(); len(d) > 0 {
			t.Errorf("%s: dialled %v", url, d)
		}
		if r := w.Refusals(); len(r) == 0 && strings.Contains(url, "denied.test") {
			t.Errorf("%s: no refusal is recorded", url)
		}
	}
}

// probe 73: programs that know of no proxy, in a network namespace of their own.
func TestClientsInsideANamespace(t *testing.T) {
	for name, args := range clients(t) {
		t.Run(name, func(t *testing.T) {
			if asuser.Again(t) {
				return
			}
			reach(t, sandbox.T3, name, args)
		})
	}
}

// probe 73 where there are no namespaces: connect calls are made by the host. Programs that
// look names up by UDP only, such as Go's, use the proxy.
func TestClientsWithoutNamespaces(t *testing.T) {
	for name, args := range clients(t) {
		t.Run(name, func(t *testing.T) {
			if asuser.Again(t) {
				return
			}
			forbidNamespaces(t)
			var env []string
			if name == "go" {
				env = []string{"HTTP_PROXY=http://127.0.0.1:3128", "HTTPS_PROXY=http://127.0.0.1:3128"}
			}
			reach(t, sandbox.T2, name, args, env...)
		})
	}
}

// probe 65: datagrams lead nowhere.
func TestDatagramsLeadNowhere(t *testing.T) {
	const python = `
import socket
for family, to in ((socket.AF_INET, ("8.8.8.8", 53)), (socket.AF_INET, ("93.184.216.34", 443)), (socket.AF_INET6, ("2606:4700::1111", 443))):
    for connected in (False, True):
        try:
            s = socket.socket(family, socket.SOCK_DGRAM)
            if connected:
                s.connect(to); s.send(b"x")
            else:
                s.sendto(b"x", to)
            print("sent", to)
        except OSError as e:
            print("refused", e.errno)
`
	for _, tier := range []sandbox.Tier{sandbox.T3, sandbox.T2} {
		t.Run(string(tier), func(t *testing.T) {
			if asuser.Again(t) {
				return
			}
			if tier == sandbox.T2 {
				forbidNamespaces(t)
			}
			got, _ := inside(t, egress.NewWorld(t), tier, nil, "/usr/bin/python3", "-c", python)
			if strings.Contains(got, "sent") || strings.Count(got, "refused") != 6 {
				t.Error(got)
			}
		})
	}
}

// forbidNamespaces makes this process, which is the test's own, one that cannot make any,
// as containers do.
func forbidNamespaces(t *testing.T) {
	t.Helper()
	const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE3, Jt: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_UNSHARE, Jt: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE, Jf: 4},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: namespaces, Jt: 1, Jf: 2},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 {
		t.Fatal(errno)
	}
}
