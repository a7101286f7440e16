package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() {
	childTasks["full"] = fullChild
	childTasks["limited"] = limitedChild
}

// A real disk of 512 KiB, in a namespace of a child, is full and then is not.
func TestNoSpaceOnARealDisk(t *testing.T) {
	t.Parallel()
	err := runChild(t, "full", t.TempDir(), func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func fullChild(ctx context.Context, mount string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("%w: %w", errNotPossible, err)
	}
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=512k"); err != nil {
		return fmt.Errorf("%w: %w", errNotPossible, err)
	}
	dir := filepath.Join(mount, "audit")
	l, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	var appended, refused int
	try := func(class Class) error {
		err := l.Append(ctx, &Entry{Object: object("x"), Class: class})
		appended++
		if err != nil {
			refused++
		}
		return err
	}
	for round := range 3 {
		ballast := filepath.Join(mount, "ballast")
		if err := fill(ballast); err != nil {
			return err
		}
		// What is left of the last page and of the reserve is used up first.
		for full := 0; full < 20; {
			if appended > 20_000 {
				return fmt.Errorf("round %d: the disk is never full", round)
			}
			if err := try(Require); err != nil {
				full++
			}
			_, _ = try(BestEffort), try(Bounded)
		}
		if r, err := Verify(ctx, dir, VerifyOptions{}); err != nil || len(r.Faults) > 0 {
			return fmt.Errorf("round %d, while it is full: %+v %w", round, r, err)
		}
		if err := os.Remove(ballast); err != nil {
			return err
		}
		for l.Fault() != nil && ctx.Err() == nil {
			<-time.After(10 * time.Millisecond)
		}
		if err := try(Require); err != nil {
			return err
		}
	}
	if err := l.Close(); err != nil {
		return err
	}
	r, err := Verify(ctx, dir, VerifyOptions{})
	if err != nil || len(r.Faults) > 0 {
		return fmt.Errorf("%+v %w", r, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, segmentName(0)))
	if err != nil {
		return err
	}
	there := strings.Count(string(b), `"id":"x"`)
	if missing := appended - there; missing != int(r.Lost) || missing < refused || refused == 0 {
		return fmt.Errorf("%d records are not in the log, %d of them refused, and the log says %d", missing, refused, r.Lost)
	}
	if !strings.Contains(string(b), "there is no space") {
		return errors.New("no record says that there was no space")
	}
	return nil
}

// fill writes until the disk is full.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return f.Close()
}

// Where no file may grow beyond a limit, the log goes on in the next one.
func TestFilesMayNotGrow(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	if err := runChild(t, "limited", dir, nil); err != nil {
		t.Fatal(err)
	}
	if r := sound(t, dir, 2000); r.Segments < 3 {
		t.Errorf("%d segments", r.Segments)
	}
}

func limitedChild(ctx context.Context, dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	const limit = 100 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("%w: %w", errNotPossible, err)
	}
	l, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	for i := range 2000 {
		if err := l.Append(ctx, &Entry{Object: object(fmt.Sprint(i)), Class: Class(i % 2)}); err != nil {
			return err
		}
	}
	return l.Close()
}
