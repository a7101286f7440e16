package regular

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A draft is called draftPrefix, 26 letters and digits of rand.Text, draftSuffix.
const (
	draftPrefix = ".mcpsec-"
	draftSuffix = ".new"
	draftRandom = 26
)

const (
	// staleAfter is how long after its last write nobody is at work on a draft any more. If
	// somebody is, they get an error, and no half of a file.
	staleAfter = time.Hour
	// maxSweep bounds the names of a folder that are looked at.
	maxSweep = 4096
)

// sweep removes the drafts of processes that were killed. Faults make no difference: what
// stays lies about, and no more.
func sweep(dir string) { sweepAt(dir, time.Now()) }

func sweepAt(dir string, now time.Time) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	names, _ := d.Readdirnames(maxSweep) // some of them are better than none
	_ = d.Close()                        // nothing was written
	for _, name := range names {
		if !isDraft(name) {
			continue
		}
		path := filepath.Join(dir, name)
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > staleAfter {
			_ = os.Remove(path)
		}
	}
}

func isDraft(name string) bool {
	random, ours := strings.CutPrefix(name, draftPrefix)
	random, whole := strings.CutSuffix(random, draftSuffix)
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" // of rand.Text
	return ours && whole && len(random) == draftRandom && strings.Trim(random, letters) == ""
}
