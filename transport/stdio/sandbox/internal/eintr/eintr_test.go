//go:build linux

package eintr

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestASignalInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, want := range []error{nil, unix.EAGAIN} {
		calls := 0
		err := Ignore(func() error {
			if calls++; calls < 3 {
				return &fs.PathError{Op: "read", Err: unix.EINTR}
			}
			return want
		})
		if !errors.Is(err, want) || calls != 3 {
			t.Errorf("%v after %d calls, want %v", err, calls, want)
		}
	}
}

func TestNothingIsInherited(t *testing.T) {
	t.Parallel()
	fd, err := Open(os.DevNull, unix.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("%#x, %v: it stays open on exec", flags, err)
	}
	none, err := Open("/nowhere/at/all", unix.O_RDONLY)
	if named, ok := errors.AsType[*fs.PathError](err); none != -1 || !ok || named.Path != "/nowhere/at/all" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%d, %v", none, err)
	}
}
