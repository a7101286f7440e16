package regular

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	no := func(fs.FileInfo) error { return errors.New("no") }
	tests := []struct {
		name, path string
		limit      int64
		judge      func(fs.FileInfo) error
		ok         bool
	}{
		{"a file", file, 5, nil, true},
		{"a link to one", link, 5, nil, true},
		{"too large", file, 4, nil, false},
		{"judged unfit", file, 5, no, false},
		{"a directory", dir, 1 << 20, nil, false},
		{"a device", os.DevNull, 5, nil, false},
		{"nothing", filepath.Join(dir, "none"), 5, nil, false},
	}
	for _, test := range tests {
		f, info, err := Open(test.path, test.limit, test.judge)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
		if err == nil {
			if info.Size() != 5 {
				t.Errorf("%s: size %d", test.name, info.Size())
			}
			_ = f.Close()
		}
	}
}
