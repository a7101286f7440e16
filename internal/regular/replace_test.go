package regular

import (
	"os"
	"path/filepath"
	"testing"
)

// What stands at the file's own name or at that of its successor in the making is
// replaced, and never followed.
func TestReplaceFollowsNoLink(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"key", "key.new"} {
		dir := t.TempDir()
		other, path := filepath.Join(dir, "other"), filepath.Join(dir, "key")
		if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(other, filepath.Join(dir, at)); err != nil {
			t.Skipf("reason: no links here: %v", err)
		}
		if err := Replace(path, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		if text, err := ReadFile(other, 9); err != nil || string(text) != "mine" {
			t.Errorf("link at %s: the other file holds %q, %v", at, text, err)
		}
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
			t.Errorf("link at %s: %v, %v", at, info, err)
		}
		if text, err := ReadFile(path, 3); err != nil || string(text) != "new" {
			t.Errorf("%q, %v", text, err)
		}
		if _, err := ReadFile(path, 2); err == nil {
			t.Error("a file above the limit was read")
		}
	}
}
