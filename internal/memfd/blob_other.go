//go:build !linux

package memfd

import (
	"bytes"
	"context"
	"errors"
	"os"
)

// A Use says what sealed memory is for.
type Use int

// The uses.
const (
	Data Use = iota
	Program
)

// Read reads an open file of exactly size bytes into memory of this process. What is to
// be executed is refused: there is no sealed memory to run it from.
func Read(ctx context.Context, f *os.File, size int64, use Use) (*Blob, error) {
	if use == Program {
		return nil, errors.New("running from sealed memory needs Linux")
	}
	var b bytes.Buffer
	if err := copyExactly(ctx, &b, f, size); err != nil {
		return nil, err
	}
	return &Blob{data: b.Bytes()}, nil
}

// Copy is for Linux: there is no sealed memory here.
func Copy(string, []byte) (*Blob, error) { return nil, errors.ErrUnsupported }
