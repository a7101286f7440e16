//go:build linux

package learn

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/procfs"
)

var path = []string{"PATH=/usr/bin:/bin"}

// script runs a shell script and returns what was seen.
func script(t *testing.T, dir, text string) *Seen {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	seen, err := Run(ctx, "/bin/sh", []string{"sh", "-c", text}, &os.ProcAttr{Dir: dir, Env: path, Files: []*os.File{nil, os.Stderr, os.Stderr}})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func TestLearns(t *testing.T) {
	if asuser.Again(t) {
		return
	}
	base, err := os.MkdirTemp("/var/tmp", "learn") //nolint:usetesting // what lies below /tmp is the sandbox's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	for _, file := range []string{"in/one", "app/node_modules/a/index.js", "app/node_modules/b/deep/er.js", "many/1", "many/2", "many/3", "many/4", "untouched", "program"} {
		name := filepath.Join(base, file)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(base, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, remarks := script(t, base, `
		cat in/one app/node_modules/a/index.js app/node_modules/b/deep/er.js many/1 many/2 many/3 many/4 >/dev/null
		(echo x > out/new; mv out/new out/newer; rm out/newer) &
		wait
		./program
		cat no/such /etc/hostname-that-is-not-there 2>/dev/null
		echo y > /tmp/ours.$$; rm /tmp/ours.$$
		true`).Profile()
	at := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(base, name))
		}
		return paths
	}
	if want := at("app/node_modules", "in/one", "many"); !slices.Equal(p.Read, want) {
		t.Errorf("read %q, want %q", p.Read, want)
	}
	if want := at("out"); !slices.Equal(p.Write, want) {
		t.Errorf("write %q, want %q", p.Write, want)
	}
	if want := at("program"); !slices.Equal(p.Exec, want) {
		t.Errorf("exec %q, want %q", p.Exec, want)
	}
	if !p.System || len(p.Egress) > 0 || len(p.Syscalls) > 0 || len(remarks) > 0 {
		t.Errorf("%+v, %q", p, remarks)
	}
}

// A host is called what the name server called it.
func TestLearnsNamesOfHosts(t *testing.T) {
	seen := newSeen()
	o := &observer{seen: seen, names: map[netip.Addr]string{}, resolver: map[descriptor]bool{}}
	name := dnsmessage.MustNewName("API.example.com.")
	raw, err := (&dnsmessage.Message{
		Header:    dnsmessage.Header{Response: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
		Answers: []dnsmessage.Resource{
			{Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: [4]byte{203, 0, 113, 7}}},
		},
	}).Pack()
	if err != nil {
		t.Fatal(err)
	}
	o.learnNames(raw)
	seen.connect(netip.MustParseAddrPort("203.0.113.7:443"), o.names[netip.MustParseAddr("203.0.113.7")])
	seen.connect(netip.MustParseAddrPort("[2606:4700::1]:8443"), "")
	seen.connect(netip.MustParseAddrPort("127.0.0.1:1"), "")
	p, remarks := seen.Profile()
	if want := []string{"[2606:4700::1]:8443", "api.example.com:443"}; !slices.Equal(p.Egress, want) || len(remarks) != 1 {
		t.Errorf("%q, want %q; %q", p.Egress, want, remarks)
	}
}

func TestSystemCallsBeyondTheList(t *testing.T) {
	t.Parallel()
	seen := newSeen()
	for _, name := range []string{"read", "clone", "socket", "mbind", "mount"} {
		seen.calls[name] = true
	}
	p, remarks := seen.Profile()
	if !slices.Equal(p.Syscalls, []string{"mbind"}) || len(remarks) != 1 || !strings.Contains(remarks[0], "mount") {
		t.Errorf("%q, %q", p.Syscalls, remarks)
	}
}

// Threads, forks and a signal in between; what is left at the end of the context is killed.
func TestEndsWithItsContext(t *testing.T) {
	if asuser.Again(t) {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	const text = "setsid sleep 1000 & echo $!; kill -USR1 $$ 2>/dev/null; wait"
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, "/bin/sh", []string{"sh", "-c", text}, &os.ProcAttr{Env: path, Files: []*os.File{nil, w, os.Stderr}})
		done <- err
	}()
	var pid int
	if _, err := fmt.Fscan(r, &pid); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if state := procfs.Line(fmt.Sprintf("/proc/%d/stat", pid)); state != "" && !strings.Contains(state, ") Z ") { // its new parent may take a while
		t.Errorf("a descendant is left: %s", state)
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Run(t.Context(), "/no/such", nil, nil); err == nil || !strings.Contains(err.Error(), "/no/such") {
		t.Errorf("%v", err)
	}
}

func FuzzLearnNames(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, raw []byte) {
		(&observer{names: map[netip.Addr]string{}}).learnNames(raw)
	})
}
