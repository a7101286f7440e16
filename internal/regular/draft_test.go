package regular

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What has the length of a draft's name, and is none, is somebody else's file.
func TestSweepLeavesWhatIsNoDraft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{".mcpsec-production-config-of-2026a.new", ".mcpsec-abcdefghijklmnopqrstuvwxyz.new", ".mcpsec-ABCDEFGHIJKLMNOPQRSTUVWX 1.new"} {
		if len(name) != len(draftPrefix)+draftRandom+len(draftSuffix) {
			t.Fatalf("%q: %d", name, len(name))
		}
		path := writeFile(t, filepath.Join(dir, name), "mine")
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-48*time.Hour)); err != nil {
			t.Fatal(err)
		}
		sweep(dir)
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
