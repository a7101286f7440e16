package procfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFileThatIsTooLong(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	const most = 40_000 // more than two pages of the pool
	for size, ok := range map[int]bool{0: true, 1: true, 16 << 10: true, 16<<10 + 1: true, most: true, most + 1: false, 1 << 20: false} {
		want := strings.Repeat("0123456789", size/10+1)[:size]
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path, most)
		if (err == nil) != ok || ok && got != want || !ok && got != "" {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
	}
}

func TestAProcessThatIsGone(t *testing.T) {
	t.Parallel()
	const nobody = "/proc/4194305" // numbers end before
	_, status := StatusOf(nobody)
	_, limits := LimitsOf(nobody)
	_, namespace := Namespace(nobody, "net")
	for what, err := range map[string]error{"status": status, "limits": limits, "namespace": namespace, "folder": Each(nobody, nil), "written": Write(nobody+"/uid_map", "0 0 1")} {
		if _, named := errors.AsType[*fs.PathError](err); !errors.Is(err, fs.ErrNotExist) || !named {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := Line(nobody + "/status"); got != "" {
		t.Errorf("%q", got)
	}
}

// The kernel this runs on writes what is decoded here.
func TestThisProcess(t *testing.T) {
	t.Parallel()
	const self = "/proc/self"
	status, err := StatusOf(self)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := status.Number("Tgid", 10); err != nil || pid != uint64(os.Getpid()) {
		t.Errorf("%d, %v", pid, err)
	}
	if ids, err := status.IDs("Uid"); err != nil || int(ids[0]) != os.Getuid() {
		t.Errorf("%v, %v", ids, err)
	}
	for _, name := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"} {
		if _, err := status.Number(name, 16); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	limits, err := LimitsOf(self)
	if err != nil {
		t.Fatal(err)
	}
	for name, resource := range map[string]int{
		"Max core file size": unix.RLIMIT_CORE, "Max msgqueue size": unix.RLIMIT_MSGQUEUE, "Max locked memory": unix.RLIMIT_MEMLOCK, "Max data size": unix.RLIMIT_DATA,
		"Max file size": unix.RLIMIT_FSIZE, "Max processes": unix.RLIMIT_NPROC, "Max cpu time": unix.RLIMIT_CPU,
	} {
		var want unix.Rlimit
		if err := unix.Prlimit(0, resource, nil, &want); err != nil {
			t.Fatal(err)
		}
		if soft, hard, err := limits.Of(name); err != nil || soft != want.Cur || hard != want.Max {
			t.Errorf("%s: %d, %d, %v, want %+v", name, soft, hard, err, want)
		}
	}
	if name, err := Namespace(self, "net"); err != nil || !strings.HasPrefix(name, "net:[") || !strings.HasSuffix(name, "]") {
		t.Errorf("%q, %v", name, err)
	}
	text, err := Read(self+"/mountinfo", MostOfHost)
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range Mounts(text) {
		if err != nil || !strings.HasPrefix(m.At, "/") || m.Type == "" {
			t.Errorf("%+v, %v", m, err)
		}
	}
	if got, want := Release(), Line("/proc/sys/kernel/osrelease"); got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestEntriesOfAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var want, got []string
	for i := range 1000 { // more than a page of them
		name := "entry" + strconv.Itoa(i)
		want = append(want, name)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Each(dir, func(name []byte) {
		if name[0] != '.' {
			got = append(got, string(name))
		}
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d entries", len(got))
	}
	if err := Write(filepath.Join(dir, "entry0"), "text\nmore"); err != nil {
		t.Fatal(err)
	}
	if got := Line(filepath.Join(dir, "entry0")); got != "text" {
		t.Errorf("%q", got)
	}
}

// Starts decode while they hold a child up.
func TestDecodingAllocatesNothing(t *testing.T) { //nolint:paralleltest // counts allocations of the whole process
	limits := Limits("Limit\nMax open files            1024                 1048576              files     \n")
	mounts := strings.Repeat("66 65 0:40 / /proc rw,nosuid - proc none rw\n", 20)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = Status(status).Number("CapEff", 16)
		_, _ = Status(status).IDs("Uid")
		_, _, _ = limits.Of("Max open files")
		for m := range Mounts(mounts) {
			_ = m.Options.Has("ro")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
