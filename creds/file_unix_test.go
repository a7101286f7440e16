//go:build unix

package creds_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpsec/mcpsec-go/creds"
)

func TestFileOthersCanRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "secret")
	for _, mode := range []os.FileMode{0o644, 0o604, 0o640, 0o660, 0o620, 0o602, 0o610, 0o601, 0o444} {
		write(t, name, "hunter2", mode)
		_, err := issue(creds.File(name))
		if err == nil || !strings.Contains(err.Error(), "group or others") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%o: %v", mode, err)
		}
		if got, err := issue(creds.File(name, creds.InsecurePermissions())); err != nil || got != "hunter2" {
			t.Errorf("%o, accepted on request: %q, %v", mode, got, err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
		write(t, name, "hunter2", mode)
		if _, err := issue(creds.File(name)); err != nil {
			t.Errorf("%o: %v", mode, err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	link := func(to string) string {
		name := filepath.Join(dir, "link"+strings.ReplaceAll(to, "/", "_"))
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for attack, name := range map[string]string{
		"symlink to a device": link("/dev/zero"), "device": "/dev/random", "directory": dir, "symlink to a directory": link(dir),
		"named pipe": pipe, "symlink to a named pipe": link(pipe),
	} {
		for _, opts := range [][]creds.FileOption{nil, {creds.InsecurePermissions()}} {
			if _, err := issue(creds.File(name, opts...)); err == nil || !strings.Contains(err.Error(), "not a regular file") {
				t.Errorf("%s: %v", attack, err)
			}
		}
	}
	// Orchestrators mount secrets as links to regular files.
	if got, err := issue(creds.File(link(write(t, filepath.Join(dir, "secret"), "key", 0o600)))); err != nil || got != "key" {
		t.Errorf("symlink to a file: %q, %v", got, err)
	}
	if _, err := issue(creds.File(link(write(t, filepath.Join(dir, "open"), "key", 0o644)))); err == nil {
		t.Error("a link hides the permissions of its target")
	}
	if _, err := issue(creds.File("")); err == nil {
		t.Error("the empty path was accepted")
	}
}
