package memfd

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzOpen: whatever a path says, nothing but the files below the folder is opened, each
// by its one name.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{"file", "sub/file", "../secret", "sub/../file", "/etc/passwd", "link", "sub//file", "./file", "file/", "file\x00", "link/secret", "loop/loop/file"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	in := filepath.Join(dir, "in")
	if err := os.MkdirAll(filepath.Join(in, "sub"), 0o700); err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{filepath.Join(in, "file"), filepath.Join(in, "sub", "file"), filepath.Join(dir, "secret")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			f.Fatal(err)
		}
	}
	for link, to := range map[string]string{"link": "..", "loop": ".", "sub/up": "../../secret"} {
		if err := os.Symlink(to, filepath.Join(in, link)); err != nil {
			f.Fatal(err)
		}
	}
	root, err := OpenRoot(in)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = root.Close() })
	f.Fuzz(func(t *testing.T, path string) {
		for _, find := range []func(int, string, int) (int, error){resolve, walk} {
			r := &Root{dir: root.dir, resolve: find}
			file, err := r.Open(path)
			if err != nil {
				continue
			}
			if path != "file" && path != "sub/file" {
				t.Errorf("%q was opened", path)
			}
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
