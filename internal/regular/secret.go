package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
)

// OwnerOnly refuses, where the system has such permissions, a file on which anybody but
// its owner has any. It is for Open.
func OwnerOnly(path string) func(fs.FileInfo) error {
	return func(info fs.FileInfo) error {
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("%s has mode %04o: its group or others have permissions; set 0600 or 0400", path, info.Mode().Perm())
		}
		return nil
	}
}

// ReadSecret reads a regular file of at most limit bytes that is its owner's alone, into
// one piece of memory that the caller clears. A file that changes meanwhile is refused.
func ReadSecret(path string, limit int64) ([]byte, error) {
	f, info, err := Open(path, limit, OwnerOnly(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()    // nothing was written
	data := make([]byte, info.Size()+1) // a buffer that grows would leave copies behind
	n, err := io.ReadFull(f, data)
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) || int64(n) != info.Size() {
		clear(data)
		return nil, fmt.Errorf("%s changed while it was read: try again", path)
	}
	return data[:n], nil
}
