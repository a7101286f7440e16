package ledger

import (
	"crypto/rand"
	"os"
	"path/filepath"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// The reserve is space that is given up for the record that says there is none.
const (
	reserveFile  = "ledger.reserve"
	reserveBytes = 64 << 10
)

// saveReserve is no condition: without it only the last record is missing when
// there is no space.
func (l *Ledger) saveReserve() {
	path := filepath.Join(l.dir, reserveFile)
	if info, err := os.Lstat(path); err == nil && info.Size() == reserveBytes {
		return
	}
	content := make([]byte, reserveBytes)
	_, _ = rand.Read(content) // never fails; zeros would take no space where the disk compresses
	_ = regular.Replace(path, content, 0o600)
}

// spendReserve reports whether there was a reserve.
func (l *Ledger) spendReserve() bool {
	return os.Remove(filepath.Join(l.dir, reserveFile)) == nil
}
