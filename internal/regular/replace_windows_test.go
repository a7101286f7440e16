package regular

import (
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
)

// A folder cannot be synced on Windows, and the file is there all the same.
func TestFolderThatCannotBeSynced(t *testing.T) {
	t.Parallel()
	if err := ignoreUnsupported(&fs.PathError{Op: "sync", Path: "folder", Err: syscall.ERROR_ACCESS_DENIED}); err != nil {
		t.Error(err)
	}
	if err := Replace(filepath.Join(t.TempDir(), "file"), []byte("text"), 0o600); err != nil {
		t.Error(err)
	}
}
