//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the golden files")

// plans are commands on machines that are made up, so that the plan is the same anywhere.
func plans() map[string]struct {
	command *Command
	view    *view
	host    host
	lost    []Control
} {
	user := host{arch: runtime.GOARCH, uid: 500, gid: 500, user: nobody, abi: 7, lastCap: 2, listener: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV}
	root := user
	root.uid, root.gid = 0, 0
	small := &view{
		entries: []entry{
			{"/etc/ssl/certs", "/etc/ssl/certs", mayRead, true}, {"/srv/data", "/srv/data", mayWrite, true},
			{"/srv/data/fixed", "/srv/data/fixed", mayRead, false}, {"/usr", "/usr", mayExec, true}, {"/var/copy", "/work", mayExec, true},
		},
		links: []link{{"/bin", "usr/bin"}},
	}
	flat := &view{entries: []entry{{"/srv/data", "/srv/data", mayWrite, true}, {"/usr", "/usr", mayExec, true}}}
	c := Command{Path: "/usr/bin/server", Args: []string{"server", "--flag"}, Env: []string{"TOKEN=hidden"}}
	served := c
	served.Profile = Profile{Egress: []string{"example.com", "*.example.org:8443"}, Listen: []uint16{8080}, NoFileless: true, Limits: Limits{CPU: 1}}
	return map[string]struct {
		command *Command
		view    *view
		host    host
		lost    []Control
	}{
		"ordinary":           {&c, small, user, nil},
		"egress":             {&served, small, user, nil},
		"root":               {&c, small, root, nil},
		"root-no-user":       {&c, small, root, []Control{UserNamespace}},
		"no-namespaces":      {&c, flat, user, []Control{UserNamespace}},
		"root-no-namespaces": {&served, flat, root, WithoutNamespaces},
		"notify":             {&served, flat, user, []Control{UserNamespace}},
		"filter-only":        {&c, flat, user, []Control{UserNamespace, LandlockFiles}},
	}
}

func TestPlanGolden(t *testing.T) {
	t.Parallel()
	digest := regexp.MustCompile(`sha256:[0-9a-f]{64}`)
	for name, tt := range plans() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			without := map[Control]error{}
			for _, l := range tt.lost {
				lose(without, l, errors.New("lost"), tt.host)
			}
			p, err := newPlan(tt.command, tt.view, tt.host, fds{stdin: 7, stdout: 8, stderr: 8, program: -1, child: 9}, without)
			if err != nil {
				t.Fatal(err)
			}
			got := digest.ReplaceAllString(p.Explain(), "sha256:DIGEST")
			path := filepath.Join("testdata", "plan-"+name+"-"+runtime.GOARCH+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the plan has changed; if that is meant: go test -run TestPlanGolden -update\n%s", got)
			}
		})
	}
}

// The plans of the other architecture are made by its own code, in an emulator.
func TestPlanGoldenARM64(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("TestPlanGolden is enough here")
	}
	emulator, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skip("qemu-aarch64-static not installed: apt install qemu-user-static")
	}
	binary := filepath.Join(t.TempDir(), "sandbox.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	args := []string{binary, "-test.run=^TestPlanGolden$", "-test.v"}
	if *update {
		args = append(args, "-update")
	}
	out, err := exec.CommandContext(t.Context(), emulator, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
