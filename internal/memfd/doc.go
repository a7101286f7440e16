// Package memfd reads files that were reviewed so that what is used is what was hashed:
// a file is opened below a folder without following any link, read once into memory that
// the kernel then seals against every write, also by root and by this process, and only
// that copy is hashed and used.
//
// Sealed memory, its protection and the identity of files are Linux's. Elsewhere a copy
// is private memory of this process, which code in it can write to, and the identity of
// a file knows no change time, which whoever owns the file can therefore hide.
//
// It does not stop the kernel, or whoever may trace this process (ptrace, CAP_SYS_PTRACE).
package memfd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// ErrChanged is wrapped by errors about a file that changed while it was read.
var ErrChanged = errors.New("changed while it was read")

// chunk is how much is read or hashed between two looks at the context.
const chunk = 1 << 20

// A Blob is a copy of a file, or of some text, that nothing changes any more. It is safe
// for concurrent use.
type Blob struct {
	data []byte
	file *os.File // the sealed memory; nil where there is none
	keep func()   // until the process ends; nil where the garbage collector knows the memory
}

// Keep makes the content valid until the process ends.
func (b *Blob) Keep() {
	if b.keep != nil {
		b.keep()
	}
}

// Bytes returns the content. It must not be written to; where it is sealed, an attempt
// ends the process. It is valid as long as the Blob is reachable: keep the Blob.
func (b *Blob) Bytes() []byte { return b.data }

// File returns the sealed memory as a file, to run it from; nil where there is none.
func (b *Blob) File() *os.File { return b.file }

// Sum returns the SHA-256 digest of the content in lower-case hexadecimal.
func (b *Blob) Sum(ctx context.Context) (string, error) {
	hash := sha256.New()
	for rest := b.data; len(rest) > 0; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n := min(chunk, len(rest))
		_, _ = hash.Write(rest[:n]) // never fails
		rest = rest[n:]
	}
	runtime.KeepAlive(b) // and with it the memory
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// Sum returns the SHA-256 digest of a file from its beginning, which must have exactly
// size bytes.
func Sum(ctx context.Context, f *os.File, size int64) (string, error) {
	hash := sha256.New()
	if err := copyExactly(ctx, hash, f, size); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// copyExactly copies a file of exactly size bytes.
func copyExactly(ctx context.Context, to io.Writer, f *os.File, size int64) error {
	from := io.NewSectionReader(f, 0, size+1)
	var done int64
	buf := make([]byte, chunk)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := from.Read(buf)
		if done += int64(n); done > size {
			return fmt.Errorf("%w: it has more than %d bytes", ErrChanged, size)
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
		switch {
		case errors.Is(err, io.EOF) && done < size:
			return fmt.Errorf("%w: it has %d bytes instead of %d", ErrChanged, done, size)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
