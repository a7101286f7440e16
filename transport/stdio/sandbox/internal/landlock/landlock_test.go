//go:build linux

package landlock

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	oracle "github.com/landlock-lsm/go-landlock/landlock"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRightsOfABI compares what is handled with what another implementation handles.
func TestRightsOfABI(t *testing.T) {
	t.Parallel()
	for abi, want := range []oracle.Config{
		{}, oracle.V1, oracle.V2, oracle.V3, oracle.V4, oracle.V5, oracle.V6, oracle.V7, oracle.V8, oracle.V9, oracle.V10, oracle.V11,
	} {
		if got := filesOf(abi); got != uint64(want.HandledAccessFS) {
			t.Errorf("abi %d: files %#x, want %#x", abi, got, want.HandledAccessFS)
		}
		const tcp = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		if got := netOf(abi); got != uint64(want.HandledAccessNet)&tcp {
			t.Errorf("abi %d: net %#x, want %#x", abi, got, want.HandledAccessNet)
		}
		if got := scopeOf(abi); got != uint64(want.Scoped) {
			t.Errorf("abi %d: scope %#x, want %#x", abi, got, want.Scoped)
		}
	}
	if filesOf(99) != filesOf(11) {
		t.Error("a newer kernel gets less")
	}
}

func tree(t *testing.T) (folder, file string) {
	t.Helper()
	folder = t.TempDir()
	file = filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return folder, file
}

func TestCompile(t *testing.T) {
	t.Parallel()
	folder, file := tree(t)
	other, _ := tree(t)
	for abi := 1; abi <= 11; abi++ {
		s, err := Compile([]string{file, folder}, []string{folder}, []string{other}, nil, nil, false, false, abi)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(s.Rules, func(a, b Rule) int { return strings.Compare(a.Path, b.Path) }) || len(s.Rules) != 3 {
			t.Errorf("abi %d: %+v", abi, s.Rules)
		}
		for _, r := range s.Rules {
			want := map[string]uint64{file: unix.LANDLOCK_ACCESS_FS_READ_FILE, folder: Write & s.Files, other: Exec}[r.Path]
			if r.Access != want {
				t.Errorf("abi %d: %s: %#x, want %#x", abi, r.Path, r.Access, want)
			}
			if r.Access&^s.Files != 0 {
				t.Errorf("abi %d: %s: rights that are not handled", abi, r.Path)
			}
		}
		if s.AttrSize() != 8 {
			t.Errorf("abi %d: %d bytes of attributes", abi, s.AttrSize())
		}
	}
	s, err := Compile(nil, nil, nil, []uint16{443, 80, 443}, []uint16{8080}, true, true, 7)
	if err != nil || !slices.Equal(s.Connect, []uint16{80, 443}) || !slices.Equal(s.Bind, []uint16{8080}) || s.Net != 3 || s.Scope != 3 || s.AttrSize() != 24 {
		t.Errorf("%+v %v", s, err)
	}
}

// TestNoDevices: nothing that a profile can ask for makes devices, drives them, or both
// writes and executes.
func TestNoDevices(t *testing.T) {
	t.Parallel()
	const never = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_IOCTL_DEV | unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX
	for _, kind := range []uint64{Read, Write, Exec, Device} {
		if kind&never != 0 {
			t.Errorf("%#x", kind)
		}
		if kind&unix.LANDLOCK_ACCESS_FS_EXECUTE != 0 && kind&unix.LANDLOCK_ACCESS_FS_WRITE_FILE != 0 {
			t.Errorf("%#x writes and executes", kind)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	folder, file := tree(t)
	within := filepath.Join(folder, "bin")
	if err := os.Mkdir(within, 0o700); err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]func() (Ruleset, error){
		"not available":        func() (Ruleset, error) { return Compile(nil, nil, nil, nil, nil, false, false, 0) },
		"need abi 4":           func() (Ruleset, error) { return Compile(nil, nil, nil, []uint16{443}, nil, false, false, 3) },
		"TCP ports need abi 4": func() (Ruleset, error) { return Compile(nil, nil, nil, nil, nil, true, false, 2) },
		"needs abi 6":          func() (Ruleset, error) { return Compile(nil, nil, nil, nil, nil, false, true, 5) },
		"not an absolute path": func() (Ruleset, error) { return Compile([]string{"etc"}, nil, nil, nil, nil, false, false, 7) },
		"is not an absolute":   func() (Ruleset, error) { return Compile([]string{"/etc\x00x"}, nil, nil, nil, nil, false, false, 7) },
		"no such file":         func() (Ruleset, error) { return Compile([]string{file + "2"}, nil, nil, nil, nil, false, false, 7) },
		"within the other": func() (Ruleset, error) {
			return Compile(nil, []string{folder}, []string{within}, nil, nil, false, false, 7)
		},
		"would be written and": func() (Ruleset, error) {
			return Compile(nil, []string{within}, []string{folder}, nil, nil, false, false, 7)
		},
		"narrower": func() (Ruleset, error) {
			return Compile(nil, []string{file}, []string{file}, nil, nil, false, false, 7)
		},
		"/ executed": func() (Ruleset, error) {
			return Compile(nil, []string{folder}, []string{"/"}, nil, nil, false, false, 7)
		},
		"more than 4096": func() (Ruleset, error) { return Compile(make([]string, 4097), nil, nil, nil, nil, false, false, 7) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, folder string
		want         bool
	}{
		{"/a", "/a", true},
		{"/a/b", "/a", true},
		{"/ab", "/a", false},
		{"/a/../b", "/a", false},
		{"/a", "/", true},
		{"/", "/a", false},
	} {
		if got := Within(c.path, c.folder); got != c.want {
			t.Errorf("%s in %s: %v", c.path, c.folder, got)
		}
	}
}

// TestOpen: the kernel takes what was compiled for its own ABI and for every older one.
func TestOpen(t *testing.T) {
	t.Parallel()
	newest := ABI()
	if newest == 0 {
		t.Skip("the kernel has no Landlock: boot with landlock in its lsm= list")
	}
	folder, file := tree(t)
	for abi := 1; abi <= newest; abi++ {
		var connect []uint16
		if abi >= 4 {
			connect = []uint16{443}
		}
		s, err := Compile([]string{file}, []string{folder}, nil, connect, nil, abi >= 4, abi >= 6, abi)
		if err != nil {
			t.Fatal(err)
		}
		s.Rules = append(s.Rules, Rule{Path: file + "2", Access: Read, Optional: true})
		fd, err := s.Open()
		if err != nil {
			t.Errorf("abi %d: %v", abi, err)
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("abi %d: the ruleset is inherited: %v", abi, err)
		}
		_ = unix.Close(fd)
		s.Rules[len(s.Rules)-1].Optional = false
		if _, err := s.Open(); err == nil {
			t.Errorf("abi %d: a missing path was left out", abi)
		}
	}
}
