package memfd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func below(t *testing.T) (string, *Root) {
	t.Helper()
	dir := t.TempDir()
	root, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return dir, root
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Both ways of finding a file refuse the same.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for way, find := range map[string]func(int, string, int) (int, error){"openat2": resolve, "walk": walk} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			dir, root := below(t)
			root.resolve = find
			must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
			write(t, filepath.Join(dir, "sub", "file"), "text")
			write(t, filepath.Join(dir, "other"), "text")
			must(t, os.Symlink("file", filepath.Join(dir, "sub", "link")))
			must(t, os.Symlink("sub", filepath.Join(dir, "folder")))
			must(t, os.Symlink("/proc/self/exe", filepath.Join(dir, "magic")))
			must(t, os.Link(filepath.Join(dir, "other"), filepath.Join(dir, "twin")))
			must(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
			for attack, path := range map[string]string{
				"neg 52: a link in the place of the file": "sub/link", "neg 52: a link on the way": "folder/file",
				"neg 52: a link of the kernel's own": "magic",
				"neg 53: ..":                         "sub/../sub/file", "neg 53: above the folder": "../" + filepath.Base(dir) + "/sub/file",
				"neg 53: absolute": dir + "/sub/file", "neg 53: hard link": "twin", "neg 53: FIFO": "pipe",
				"neg 53: folder": "sub", "neg 53: the folder itself": ".", "empty": "", "NUL": "sub/file\x00", "not there": "sub/none", "below a file": "other/file",
			} {
				if f, err := root.Open(path); err == nil {
					t.Errorf("%s: opened", attack)
					_ = f.Close()
				}
			}
			dev := &Root{resolve: find}
			var err error
			dev.dir, err = os.Open("/dev")
			must(t, err)
			defer dev.Close()
			if _, err := dev.Open("null"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
				t.Errorf("neg 53: device: %v", err)
			}
			f, err := root.Open("sub/file")
			must(t, err)
			text, err := io.ReadAll(f)
			if string(text) != "text" || err != nil {
				t.Errorf("%q, %v", text, err)
			}
			must(t, f.Close())
		})
	}
}

func TestSealedMemoryCannotChange(t *testing.T) {
	t.Parallel()
	dir, root := below(t)
	write(t, filepath.Join(dir, "f"), "reviewed")
	f, err := root.Open("f")
	must(t, err)
	defer f.Close()
	b, err := Read(t.Context(), f, 8, Program)
	must(t, err)
	write(t, filepath.Join(dir, "f"), "replaced")
	fd := b.File().Fd()
	if _, err := b.File().WriteAt([]byte("x"), 0); err == nil {
		t.Error("written")
	}
	if err := b.File().Truncate(1); err == nil {
		t.Error("truncated")
	}
	if err := b.File().Truncate(100); err == nil {
		t.Error("grown")
	}
	if _, err := unix.Mmap(int(fd), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		t.Error("mapped for writing")
	}
	if err := unix.Mprotect(b.Bytes(), unix.PROT_READ|unix.PROT_WRITE); err == nil {
		t.Error("made writable")
	}
	if mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0); err == nil {
		defer mem.Close()
		if _, err := mem.WriteAt([]byte("x"), int64(uintptr(unsafe.Pointer(unsafe.SliceData(b.Bytes()))))); err == nil {
			t.Error("written through /proc/self/mem")
		}
	}
	if _, err := unix.FcntlInt(fd, unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE); !errors.Is(err, unix.EPERM) {
		t.Errorf("the seals can be changed: %v", err)
	}
	if string(b.Bytes()) != "reviewed" {
		t.Errorf("holds %q", b.Bytes())
	}
	sum, err := b.Sum(t.Context())
	must(t, err)
	again, err := Copy("again", []byte("reviewed"))
	must(t, err)
	if other, err := again.Sum(t.Context()); err != nil || other != sum || len(sum) != 64 {
		t.Errorf("%s, %s, %v", sum, other, err)
	}
}

// neg 57: a file that is longer or shorter than it should be, or becomes so.
func TestReadOfAnotherSize(t *testing.T) {
	t.Parallel()
	dir, root := below(t)
	for name, c := range map[string]struct {
		size int64
		text string
	}{"neg 57: grown": {3, "1234"}, "shrunk": {5, "1234"}, "emptied": {4, ""}} {
		write(t, filepath.Join(dir, "f"), c.text)
		f, err := root.Open("f")
		must(t, err)
		if _, err := Read(t.Context(), f, c.size, Data); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Sum(t.Context(), f, c.size); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, f.Close())
	}
	write(t, filepath.Join(dir, "f"), "")
	f, err := root.Open("f")
	must(t, err)
	defer f.Close()
	if b, err := Read(t.Context(), f, 0, Data); err != nil || len(b.Bytes()) != 0 {
		t.Errorf("an empty file: %v", err)
	}
}

func TestReadEndsWithTheContext(t *testing.T) {
	t.Parallel()
	dir, root := below(t)
	write(t, filepath.Join(dir, "f"), "text")
	f, err := root.Open("f")
	must(t, err)
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, f, 4, Data); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b, err := Copy("c", []byte("text"))
	must(t, err)
	if _, err := b.Sum(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// neg 59: what cannot be sealed is not used.
func TestSealingImpossible(t *testing.T) {
	t.Parallel()
	fill := func(w io.Writer) error { _, err := w.Write([]byte("text")); return err }
	t.Run("neg 59: somebody holds a writable mapping", func(t *testing.T) {
		t.Parallel()
		var mapped []byte
		held := func(name string, flags int) (int, error) { // as a process of the same user can, through /proc
			fd, err := unix.MemfdCreate(name, flags)
			if err != nil {
				return fd, err
			}
			if err := unix.Ftruncate(fd, 4); err != nil {
				return fd, err
			}
			mapped, err = unix.Mmap(fd, 0, 4, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			return fd, err
		}
		if _, err := seal("f", Data, 4, held, fill); !errors.Is(err, unix.EBUSY) {
			t.Error(err)
		}
		must(t, unix.Munmap(mapped))
	})
	t.Run("neg 59: the system forbids programs in memory", func(t *testing.T) {
		t.Parallel()
		noexec := func(name string, flags int) (int, error) {
			if flags&unix.MFD_NOEXEC_SEAL == 0 {
				return -1, unix.EACCES
			}
			return unix.MemfdCreate(name, flags)
		}
		if _, err := seal("f", Program, 4, noexec, fill); !errors.Is(err, unix.EACCES) {
			t.Error(err)
		}
		if b, err := seal("f", Data, 4, noexec, fill); err != nil || string(b.Bytes()) != "text" {
			t.Errorf("data: %v", err)
		}
	})
	t.Run("an old kernel", func(t *testing.T) {
		t.Parallel()
		old := func(name string, flags int) (int, error) {
			if flags&(unix.MFD_EXEC|unix.MFD_NOEXEC_SEAL) != 0 {
				return -1, unix.EINVAL
			}
			return unix.MemfdCreate(name, flags)
		}
		if b, err := seal("f", Program, 4, old, fill); err != nil || string(b.Bytes()) != "text" {
			t.Error(err)
		}
	})
	t.Run("a file system that cannot seal", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		plain := func(name string, _ int) (int, error) {
			return unix.Open(filepath.Join(dir, "plain"), unix.O_RDWR|unix.O_CREAT, 0o600)
		}
		if _, err := seal("f", Data, 4, plain, fill); err == nil {
			t.Error("used without seals")
		}
	})
	t.Run("somebody appended before the seals", func(t *testing.T) {
		t.Parallel()
		more := func(w io.Writer) error { _, err := w.Write([]byte("text and more")); return err }
		if _, err := seal("f", Data, 4, unix.MemfdCreate, more); !errors.Is(err, ErrChanged) {
			t.Error(err)
		}
	})
}

func TestLookSees(t *testing.T) {
	t.Parallel()
	dir, root := below(t)
	path := filepath.Join(dir, "f")
	past := time.Now().Add(-time.Hour)
	for what, change := range map[string]func(){
		"neg 56: a write whose mtime was restored": func() { write(t, path, "TEXT"); must(t, os.Chtimes(path, past, past)) },
		"neg 54: a rename over the name": func() {
			write(t, path+"2", "text")
			must(t, os.Chtimes(path+"2", past, past))
			must(t, os.Rename(path+"2", path))
		},
		"a new size":  func() { must(t, os.Truncate(path, 2)) },
		"new rights":  func() { must(t, os.Chmod(path, 0o644)) },
		"a hard link": func() { must(t, os.Link(path, path+"3")) },
		"a link in its place": func() {
			must(t, os.Rename(path, path+"4"))
			must(t, os.Symlink("f4", path))
		},
		"removal": func() { must(t, os.Remove(path)) },
	} {
		_ = os.Remove(path)
		write(t, path, "text")
		must(t, os.Chtimes(path, past, past))
		name, err := root.Name("f")
		must(t, err)
		before, err := name.Look()
		must(t, err)
		if again, err := name.Look(); err != nil || !again.Same(before) {
			t.Errorf("a second look: %+v, %v", again, err)
		}
		f, err := root.Open("f")
		must(t, err)
		hold, err := name.Hold(f, before)
		must(t, err)
		for range 2 {
			if !hold.Same() {
				t.Errorf("before %s: changed", what)
			}
		}
		<-time.After(Settled) // as whoever takes a baseline does
		change()
		if after, err := name.Look(); err == nil && after.Same(before) {
			t.Errorf("%s was not seen by name", what)
		}
		if hold.Same() {
			t.Errorf("%s was not seen", what)
		}
	}
}

// held returns a hold of a file some folders down.
func held(tb testing.TB) (dir string, hold *Hold) {
	tb.Helper()
	dir = tb.TempDir()
	root, err := OpenRoot(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = root.Close() })
	if err := os.MkdirAll(filepath.Join(dir, "models", "v1"), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "models", "v1", "f"), []byte("text"), 0o600); err != nil {
		tb.Fatal(err)
	}
	<-time.After(Settled) // as whoever takes a baseline does
	name, err := root.Name("models/v1/f")
	if err != nil {
		tb.Fatal(err)
	}
	f, err := root.Open("models/v1/f")
	if err != nil {
		tb.Fatal(err)
	}
	self, err := Identify(f)
	if err != nil {
		tb.Fatal(err)
	}
	if hold, err = name.Hold(f, self); err != nil || !hold.Same() || hold.way.Load() == nil {
		tb.Fatalf("not held: %v", err)
	}
	return dir, hold
}

// A folder on the way that is no longer the one that was held leads elsewhere, also where
// the file is still to be found.
func TestFolderSwapped(t *testing.T) {
	t.Parallel()
	evil := func(dir string) {
		must(t, os.MkdirAll(filepath.Join(dir, "evil", "v1"), 0o700))
		write(t, filepath.Join(dir, "evil", "v1", "f"), "evil")
	}
	for attack, swap := range map[string]func(dir string){
		"another folder": func(dir string) {
			must(t, os.Rename(filepath.Join(dir, "models"), filepath.Join(dir, "old")))
			must(t, os.Rename(filepath.Join(dir, "evil"), filepath.Join(dir, "models")))
		},
		"neg 52: a link to the same folder, to be swapped later": func(dir string) {
			must(t, os.Rename(filepath.Join(dir, "models"), filepath.Join(dir, "old")))
			must(t, os.Symlink("old", filepath.Join(dir, "models")))
		},
		"neg 52: a link further down": func(dir string) {
			must(t, os.Rename(filepath.Join(dir, "models", "v1"), filepath.Join(dir, "models", "v0")))
			must(t, os.Symlink("v0", filepath.Join(dir, "models", "v1")))
		},
		"removal": func(dir string) { must(t, os.RemoveAll(filepath.Join(dir, "models"))) },
	} {
		dir, hold := held(t)
		evil(dir)
		swap(dir)
		for range 2 {
			if hold.Same() {
				t.Errorf("%s was not seen", attack)
			}
		}
	}
}

// Other files that come and go in the folder are nobody's business.
func TestNeighboursDoNotMatter(t *testing.T) {
	t.Parallel()
	dir, hold := held(t)
	for range 3 {
		write(t, filepath.Join(dir, "models", "v1", "neighbour"), "")
		must(t, os.Mkdir(filepath.Join(dir, "models", "more"), 0o700))
		if !hold.Same() {
			t.Fatal("refused because of a neighbour")
		}
		must(t, os.Remove(filepath.Join(dir, "models", "v1", "neighbour")))
		must(t, os.Remove(filepath.Join(dir, "models", "more")))
	}
}

func TestLookingAllocatesNothing(t *testing.T) {
	_, hold := held(t)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := hold.name.Look(); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("by name: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if !hold.Same() {
			t.Error("changed")
		}
	}); n != 0 {
		t.Errorf("held: %v allocations", n)
	}
}

// A name of a folder that was closed leads nowhere, and not to what got its descriptor.
func TestLookAfterClose(t *testing.T) {
	t.Parallel()
	dir, root := below(t)
	write(t, filepath.Join(dir, "f"), "text")
	name, err := root.Name("f")
	must(t, err)
	must(t, root.Close())
	if _, err := name.Look(); err == nil {
		t.Error("found")
	}
}

func TestCopyIsItsOwn(t *testing.T) {
	t.Parallel()
	text := []byte(strings.Repeat("text ", 10_000))
	b, err := Copy("copy", text)
	must(t, err)
	want := bytes.Clone(text)
	clear(text)
	if !bytes.Equal(b.Bytes(), want) {
		t.Error("not a copy")
	}
	b.Keep()
}

func BenchmarkHold(b *testing.B) {
	_, hold := held(b)
	b.Run("held", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !hold.Same() {
				b.Fatal("changed")
			}
		}
	})
	b.Run("by name", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := hold.name.Look(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Memory that nobody refers to is given back, and memory that is kept is not.
func TestMemoryIsGivenBack(t *testing.T) {
	t.Parallel()
	maps := func(name string) bool {
		text, err := os.ReadFile("/proc/self/maps")
		must(t, err)
		return strings.Contains(string(text), name)
	}
	for _, keep := range []bool{true, false} {
		name := "given-back"
		if keep {
			name = "kept"
		}
		b, err := Copy(name, []byte("text"))
		must(t, err)
		if keep {
			b.Keep()
		}
		if !maps(name) {
			t.Skip("reason: mappings are not shown here")
		}
		runtime.KeepAlive(b)
	}
	for i := 0; maps("given-back"); i++ {
		if i == 100 {
			t.Fatal("never given back")
		}
		runtime.GC()
		runtime.Gosched()
	}
	if !maps("kept") {
		t.Error("what is kept was given back")
	}
}

// Whoever has the bytes cannot have something else in their place, short of package unsafe.
func TestCannotBeUnmapped(t *testing.T) {
	t.Parallel()
	b, err := Copy("x", bytes.Repeat([]byte("good"), 4096))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Munmap(b.Bytes()); err == nil {
		t.Fatal("unmapped")
	}
	if err := unix.Mprotect(b.Bytes(), unix.PROT_READ|unix.PROT_WRITE); err == nil {
		t.Error("made writable")
	}
}
