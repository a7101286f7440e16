//go:build linux

package attest_test

import (
	"os"
	"testing"
)

// Whoever opens a watched file by its whole name reads what the folder's name leads to.
func TestFolderReplaced(t *testing.T) {
	t.Parallel()
	if !linux() {
		t.Skip("reason: a folder that is held cannot be renamed on every system")
	}
	s := newStore(t)
	s.dir += "/files"
	for _, rel := range []string{asSnapshot.Path, asWatch.Path} {
		s.write(rel, model)
	}
	l, cs := s.start(s.manifest(asWatch))
	if err := os.Rename(s.dir, s.dir+".old"); err != nil {
		t.Fatal(err)
	}
	s.write(asWatch.Path, "evil")
	l.awaitAlarm("attest.artifact_changed")
	_, err := output(t, cs, "work")
	denied(t, err, "attest.artifact_changed")
}
