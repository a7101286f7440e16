package regular

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestReadSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, mode := range []os.FileMode{0o600, 0o400} {
		if data, err := ReadSecret(write("own", mode), 6); err != nil || string(data) != "secret" {
			t.Errorf("%04o: %q, %v", mode, data, err)
		}
		if err := os.Remove(filepath.Join(dir, "own")); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS != "windows" {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o620} {
			if _, err := ReadSecret(write("shared", mode), 6); err == nil || !strings.Contains(err.Error(), "set 0600 or 0400") {
				t.Errorf("%04o: %v", mode, err)
			}
		}
	}
	for name, path := range map[string]string{"too large": write("large", 0o600), "missing": filepath.Join(dir, "missing"), "a folder": dir} {
		if _, err := ReadSecret(path, 5); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}
