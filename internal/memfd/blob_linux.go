package memfd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Use says what sealed memory is for.
type Use int

// The uses.
const (
	Data    Use = iota // cannot be executed, where the kernel can say so (Linux 6.3)
	Program            // can be executed
)

// seals are all that a memfd can have against change.
const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// Read reads an open file of exactly size bytes into sealed memory. Only then may it be
// hashed, with [Blob.Sum]: until it is sealed, other processes of the same user can write
// to it.
func Read(ctx context.Context, f *os.File, size int64, use Use) (*Blob, error) {
	return seal(f.Name(), use, int(size), unix.MemfdCreate, func(to io.Writer) error { return copyExactly(ctx, to, f, size) })
}

// Copy returns a sealed copy of some text.
func Copy(name string, text []byte) (*Blob, error) {
	return seal(name, Data, len(text), unix.MemfdCreate, func(to io.Writer) error {
		_, err := to.Write(text)
		return err
	})
}

// A creator is memfd_create.
type creator func(name string, flags int) (int, error)

// seal creates sealed memory of what fill writes, size bytes, and maps it.
func seal(name string, use Use, size int, create creator, fill func(io.Writer) error) (_ *Blob, err error) {
	fd, err := create.open(name, use)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	kept := false
	defer func() {
		if !kept {
			err = errors.Join(err, file.Close()) // a mapping stays
		}
	}()
	if err := fill(file); err != nil {
		return nil, err
	}
	if err := closeMemory(file, size); err != nil {
		return nil, err
	}
	b := &Blob{}
	if size > 0 {
		// Shared and read-only: such a mapping of sealed memory can never become writable; a
		// private one could.
		// Not unix.Mmap: it keeps books, and whoever has the bytes could give them to
		// unix.Munmap and map something else in their place.
		at, err := unix.MmapPtr(int(file.Fd()), 0, nil, uintptr(size), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return nil, fmt.Errorf("mmap: %w", err)
		}
		b.data = unsafe.Slice((*byte)(at), size) //nolint:gosec // the whole mapping
		cleanup := runtime.AddCleanup(b, func(at unsafe.Pointer) { _ = unix.MunmapPtr(at, uintptr(size)) }, at)
		b.keep = cleanup.Stop
	}
	if use == Program {
		b.file, kept = file, true
	}
	return b, nil
}

var errSeals = errors.New("the kernel did not seal the memory")

// closeMemory seals, and believes only what the kernel then says. It fails with EBUSY if
// somebody holds a writable mapping.
func closeMemory(file *os.File, size int) error {
	fd := file.Fd()
	if _, err := unix.FcntlInt(fd, unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	got, err := unix.FcntlInt(fd, unix.F_GET_SEALS, 0)
	if err != nil || got&seals != seals {
		return errors.Join(errSeals, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil || st.Size != int64(size) {
		return errors.Join(fmt.Errorf("%w: the copy has %d bytes instead of %d", ErrChanged, st.Size, size), err)
	}
	return nil
}

// maxMemName is the kernel's limit, less its own prefix.
const maxMemName = 240

// open asks for the rights that the use needs. Kernels before 6.3 know neither flag, and
// let everything be executed.
func (create creator) open(name string, use Use) (int, error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	want := unix.MFD_NOEXEC_SEAL
	if use == Program {
		want = unix.MFD_EXEC // refused where the system forbids it (vm.memfd_noexec)
	}
	name = name[:min(len(name), maxMemName)]
	fd, err := create(name, flags|want)
	if errors.Is(err, unix.EINVAL) {
		return create(name, flags)
	}
	return fd, err
}
