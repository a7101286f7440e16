package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// MaxFile bounds a package file, in bytes.
const MaxFile = 4 << 30

// CheckFile hashes a downloaded package file and returns the package of the entry that
// it is. Files of packages without fileSha256 cannot be checked and are refused.
func (e *Entry) CheckFile(ctx context.Context, path string) (*Package, error) {
	f, _, err := regular.Open(path, MaxFile, nil)
	if err != nil {
		return nil, fmt.Errorf("attest/registry: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	hash := sha256.New()
	for total := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("attest/registry: %w", err)
		}
		n, err := io.CopyN(hash, f, 8<<20)
		if total += n; total > MaxFile {
			return nil, fmt.Errorf("attest/registry: %s grew beyond %d bytes", path, int64(MaxFile))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("attest/registry: %w", err)
		}
	}
	got := hex.EncodeToString(hash.Sum(nil))
	for i := range e.Packages {
		if e.Packages[i].FileSHA256 == got {
			p := e.Packages[i]
			return &p, nil
		}
	}
	return nil, refuse("%s has the digest sha256:%s, which is that of no package of %s %s", path, got, e.Name, e.Version)
}
