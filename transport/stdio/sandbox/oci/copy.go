//go:build linux

package oci

import (
	"io"
	"os"
)

func sizeOf(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// copyAt copies a file from its beginning, whatever its position.
func copyAt(to io.Writer, from io.ReaderAt, size int64) error {
	_, err := io.Copy(to, io.NewSectionReader(from, 0, size))
	return err
}
