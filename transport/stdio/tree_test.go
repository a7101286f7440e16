//go:build linux

package stdio_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/stdio"
)

// A tree that brings its own interpreter runs a file of the tree, or nothing.
func TestAnInterpreterInTheTreeRunsTheTreeOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "server.py"), "print()\n")
	exe := readAll(t, "/proc/self/exe")
	write(t, filepath.Join(dir, "bin", "python3"), exe)
	write(t, filepath.Join(dir, "bin", "npx"), exe)
	sum, err := stdio.SumTree(t.Context(), dir)
	must(t, err)
	for _, args := range [][]string{
		{"bin/python3", "-c", "import os"}, {"bin/python3", "/home/me/unreviewed.py"}, {"bin/python3"}, {"bin/npx", "-y", "evil"},
	} {
		l, backend, _ := launch(t, "serve")
		l.Command, l.Artifact = args, stdio.Tree{Dir: dir, Sum: sum}
		c, err := l.Connect(t.Context())
		if err == nil {
			_ = c.Close()
		}
		if !errors.Is(err, stdio.ErrArtifact) || backend.started != 0 {
			t.Errorf("%q: started %d: %v", args, backend.started, err)
		}
	}
}

// SumTree of a folder in which somebody holds a pipe open must end.
func TestSumTreeOfAPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))
	fd, err := syscall.Open(pipe, syscall.O_RDWR, 0)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { _, err := stdio.SumTree(ctx, dir); done <- err }()
	select {
	case err := <-done:
		if !errors.Is(err, stdio.ErrArtifact) {
			t.Error(err)
		}
		must(t, syscall.Close(fd))
	case <-time.After(2 * patience):
		t.Error("waits for the writer, whatever the context says")
		must(t, syscall.Close(fd))
		<-done
	}
}

func readAll(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	return string(b)
}
