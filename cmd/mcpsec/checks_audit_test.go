package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestAuditFolder(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("rights cannot be told without writing")
	}
	for name, c := range map[string]struct {
		make func(path string) error
		want status
		says string
	}{
		"not there yet":        {func(string) error { return nil }, statusOK, "can be created"},
		"there":                {folder(0o700), statusOK, "can be written"},
		"readable for a group": {folder(0o750), statusOK, "can be written"},
		"readable for others":  {folder(0o755), statusWarn, "0755"},
		"a file":               {func(path string) error { return os.WriteFile(path, nil, 0o600) }, statusFail, "not a folder"},
		"a symbolic link":      {func(path string) error { return os.Symlink("elsewhere", path) }, statusFail, "symbolic link"},
		"no folder above":      {func(path string) error { return os.Remove(filepath.Dir(path)) }, statusFail, "no such file"},
		"below a file": {func(path string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600))
		}, statusFail, "not a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "log")
			must(t, os.Mkdir(dir, 0o700))
			path := filepath.Join(dir, "audit")
			must(t, c.make(path))
			before := snapshot(t, path)
			got := checkAuditFolder(host{audit: path})
			if got.Status != c.want || !strings.Contains(got.Found, c.says) {
				t.Errorf("got %s, %q", got.Status, got.Found)
			}
			if after := snapshot(t, path); after != before {
				t.Errorf("the check changed the folder: %s, then %s", before, after)
			}
		})
	}
}

func TestAuditFolderWithoutRights(t *testing.T) {
	t.Parallel()
	if os.Geteuid() < 1 {
		t.Skip("root passes every permission check, and Windows has none like these")
	}
	path := filepath.Join(t.TempDir(), "audit")
	must(t, folder(0o500)(path))
	if got := checkAuditFolder(host{audit: path}); got.Status != statusFail {
		t.Errorf("read-only folder: %s, %q", got.Status, got.Found)
	}
	must(t, os.Remove(path))
	must(t, os.Chmod(filepath.Dir(path), 0o500))
	if got := checkAuditFolder(host{audit: path}); got.Status != statusFail {
		t.Errorf("read-only folder above: %s, %q", got.Status, got.Found)
	}
}

func TestSpaceForTheAuditFolder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		free space
		err  error
		want status
	}{
		"plenty":        {free: space{bytes: 1 << 40}, want: statusOK},
		"scarce":        {free: space{bytes: scarceSpace - 1}, want: statusWarn},
		"almost none":   {free: space{bytes: leastSpace - 1}, want: statusFail},
		"none":          {want: statusFail},
		"no inode":      {free: space{bytes: 1 << 40, noFiles: true}, want: statusFail},
		"cannot be had": {err: errors.New("stale handle"), want: statusSkip},
	} {
		if got := judgeSpace(c.free, c.err); got.Status != c.want {
			t.Errorf("%s: %s, want %s", name, got.Status, c.want)
		}
	}
	if got := checkAuditSpace(host{audit: filepath.Join(t.TempDir(), "gone", "audit")}); got.Status != statusSkip {
		t.Errorf("no directory: %s, %q", got.Status, got.Found)
	}
}

func folder(mode os.FileMode) func(string) error {
	return func(path string) error {
		// The umask has no say in what Chmod sets.
		return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// snapshot is what would show that somebody touched the file.
func snapshot(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		return "not there"
	}
	return info.Mode().String() + info.ModTime().String()
}
