//go:build linux

package oci_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/oci"
)

// A runtime that shows more, or something else, than it was told.
func TestARuntimeThatShowsSomethingElse(t *testing.T) {
	t.Parallel()
	runc := installed(t, "runc")
	for lie, test := range map[string]struct{ change, want string }{
		"shows the host's root":     {`s#"mounts":\[#"mounts":[{"destination":"/.mcpsec","type":"bind","source":"/","options":["rbind","rw"]},#`, "nobody asked"},
		"shows the host below /tmp": {`s#\({"destination":"/tmp",[^}]*}\)#\1,{"destination":"/tmp/host","type":"bind","source":"/","options":["rbind","rw"]}#`, "nobody asked"},
		"shows the host below /dev": {`s#\({"destination":"/dev/shm",[^}]*}\)#\1,{"destination":"/dev/shm/host","type":"bind","source":"/","options":["rbind","rw"]}#`, "nobody asked"},
		"shows another folder":      {`s#"source":"WORK"#"source":"OTHER"#`, "is not what"},
		"covers what is only read":  {`s#\({"destination":"WORK",[^}]*}\),\({"destination":"WORK/inner",[^}]*}\)#\2,\1#`, "is covered"},
		"runs as another user":      {`s#"hostID":65534#"hostID":0#g`, "runs as another user"},
	} {
		t.Run(lie, func(t *testing.T) {
			t.Parallel()
			dir, work, other := asuser.Dir(t), asuser.Dir(t), asuser.Dir(t)
			if err := os.WriteFile(filepath.Join(other, "secret"), []byte("secret"), 0o644); err != nil {
				t.Fatal(err)
			}
			inner := filepath.Join(work, "inner")
			for _, name := range []string{inner, filepath.Join(other, "inner")} {
				if err := os.Mkdir(name, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			change := strings.NewReplacer("WORK", work, "OTHER", other).Replace(test.change)
			path := filepath.Join(dir, "runc")
			asuser.Script(t, path, fmt.Sprintf(liar, change, runc))
			inR, _ := pipe(t)
			said, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = said.Close() }()
			p, err := (&oci.Runtime{Path: path, Dir: dir}).Start(t.Context(), &sandbox.Command{
				Path: "/bin/cat", Args: []string{"cat"}, Stdin: inR, Stderr: said, Allow: withoutLandlock,
				Profile: sandbox.Profile{System: true, Write: []string{work}, Read: []string{inner}},
			})
			if err == nil {
				_ = p.Kill(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				message, _ := os.ReadFile(said.Name())
				t.Errorf("%v, want %q\n%s", err, test.want, message)
			}
		})
	}
}

// What a path means is what it meant when it was checked: whoever writes to a folder above
// it puts a link there meanwhile.
func TestAPathThatBecomesALink(t *testing.T) {
	t.Parallel()
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			program := installed(t, runtime)
			dir, work, other := asuser.Dir(t), asuser.Dir(t), asuser.Dir(t)
			data := filepath.Join(work, "data")
			if err := os.Mkdir(data, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(other, "secret"), []byte("secret"), 0o644); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, runtime)
			if runtime == "runsc" {
				// gVisor is not to stand behind a script: the link is put there by the network's callback.
				path = program
			} else {
				asuser.Script(t, path, fmt.Sprintf("#!/bin/sh\n[ -h %[1]s ] || { mv %[1]s %[1]s.old; ln -s %[2]s %[1]s; }\nexec %[3]s \"$@\"\n", data, other, program))
			}
			inR, _ := pipe(t)
			said, _ := os.Create(filepath.Join(t.TempDir(), "stderr"))
			defer func() { _ = said.Close() }()
			c := &sandbox.Command{
				Path: "/bin/cat", Args: []string{"cat"}, Stdin: inR, Stderr: said, Allow: withoutLandlock,
				Profile: sandbox.Profile{System: true, Read: []string{data}},
			}
			if runtime == "runsc" && os.Getuid() == 0 {
				c.Profile.Egress = []string{"made.up:8080"}
				c.Network = func(n sandbox.Network) error {
					_, _ = n.Proxy.Close(), n.DNS.Close()
					for _, l := range n.Transparent {
						_ = l.Close()
					}
					if err := os.Rename(data, data+".old"); err != nil {
						return err
					}
					return os.Symlink(other, data)
				}
			}
			p, err := (&oci.Runtime{Path: path, Dir: dir}).Start(t.Context(), c)
			if err == nil {
				seen, _ := os.ReadFile(fmt.Sprintf("/proc/%d/root%s/secret", p.PID(), data))
				_ = p.Kill(t.Context())
				t.Errorf("it starts, and inside %s has %q", data, seen)
			} else if message, _ := os.ReadFile(said.Name()); !strings.Contains(err.Error(), "is not what") {
				t.Errorf("%v\n%s", err, message)
			}
		})
	}
}

// What the host mounts later below a folder does not appear inside.
func TestAMountThatFollows(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("reason: only root mounts")
	}
	t.Parallel()
	for _, runtime := range []string{"runc", "crun"} {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			work, pipes := asuser.Dir(t), t.TempDir()
			below, now, done := filepath.Join(work, "below"), filepath.Join(pipes, "now"), filepath.Join(pipes, "done")
			if err := errors.Join(os.Mkdir(below, 0o755), syscall.Mkfifo(now, 0o600), syscall.Mkfifo(done, 0o600)); err != nil {
				t.Fatal(err)
			}
			// In a namespace in which mounts are shared, as they are on hosts with systemd.
			later := fmt.Sprintf("mount --make-rshared / && { { cat %s; mount -t tmpfs -o mode=777 tmpfs %s && echo mounted > %s || echo failed > %[3]s; } >/dev/null 2>&1 & }", now, below, done)
			program := behind(t, installed(t, runtime), `case " $* " in *" run "*) `+later+" ;; esac")
			r := startBy(t, program, sandbox.Profile{Read: []string{work}}, nil)
			if err := os.WriteFile(now, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if said, err := os.ReadFile(done); err != nil || string(said) != "mounted\n" {
				t.Fatalf("%q, %v", said, err)
			}
			if got := r.run("touch " + below + "/x"); !strings.Contains(got, "Read-only file system") {
				t.Errorf("written, below what is only read: %q", got)
			}
		})
	}
}

// A runtime that never answers holds nobody up for longer than a command may take.
func TestARuntimeThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	dir := asuser.Dir(t)
	path := filepath.Join(dir, "runc")
	script := fmt.Sprintf(liar, "", installed(t, "runc"))
	asleep := filepath.Join(t.TempDir(), "asleep") // process ids, one a line
	script = strings.Replace(script, "exec ", "[ $what != state ] || { sleep 1000 & echo $! >> "+asleep+"; wait; }\nexec ", 1)
	asuser.Script(t, path, script)
	t.Cleanup(func() {
		said, _ := os.ReadFile(asleep)
		for line := range strings.Lines(string(said)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	inR, _ := pipe(t)
	began := time.Now()
	_, err := (&oci.Runtime{Path: path, Dir: dir}).Start(ctx, &sandbox.Command{
		Path: "/bin/cat", Args: []string{"cat"}, Stdin: inR, Allow: withoutLandlock, Profile: sandbox.Profile{System: true},
	})
	if took := time.Since(began); err == nil || took > 2*time.Minute { // it would sleep for longer
		t.Errorf("%v, after %v", err, took)
	}
}

// That there is a filter is seen, and not which calls it lets through: nothing is said to be
// verified that is the runtime's word.
func TestAFilterOfTheRuntimesOwn(t *testing.T) {
	t.Parallel()
	dir := asuser.Dir(t)
	path := filepath.Join(dir, "runc")
	script := fmt.Sprintf(liar, `s/SCMP_ACT_ERRNO/SCMP_ACT_ALLOW/g; s/,"errnoRet":[0-9]*//g; s/"defaultErrnoRet":[0-9]*,//g`, installed(t, "runc"))
	asuser.Script(t, path, script)
	r := startBy(t, path, sandbox.Profile{}, nil)
	if got := r.run("unshare -U echo unshared"); got != "unshared" {
		t.Skipf("reason: the filter refuses the call still: %s", got)
	}
	for _, f := range r.Report().Controls {
		if f.Control == sandbox.Seccomp && f.Verified {
			t.Errorf("a filter that lets unshare through is %+v", f)
		}
	}
}
