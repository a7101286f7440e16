package creds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// MaxFile bounds a file with a secret, in bytes.
const MaxFile = 64 << 10

// File returns a Provider that reads the secret from a file for every call that
// asks for it, so that a rotated file counts from the next call on. One line feed
// at the end, with or without a carriage return, is not part of the secret. The
// version in the audit record is the file's time of modification.
//
// The file must be a regular one, or a symbolic link to one, of 1 to [MaxFile]
// bytes. On Unix nobody but its owner may have any permission on it (mode & 0077
// is 0), unless [InsecurePermissions] is given.
func File(path string, opts ...FileOption) Provider {
	f := &file{path: path}
	for _, o := range opts {
		o(f)
	}
	return f
}

// A FileOption changes what [File] accepts.
type FileOption func(*file)

// InsecurePermissions accepts a file that its group or others may read or write.
// Some orchestrators mount secrets so, into a container with one account.
func InsecurePermissions() FileOption { return func(f *file) { f.insecure = true } }

type file struct {
	path     string
	insecure bool
}

var _ Checker = (*file)(nil)

func (f *file) Issue(_ context.Context, _ Spec, _ Request) (Material, error) {
	secret, modified, err := f.read()
	if err != nil {
		return Material{}, err
	}
	defer clear(secret)
	return Material{Secret: NewValue(trim(secret)), Version: modified.UTC().Format(time.RFC3339Nano)}, nil
}

func (f *file) Check(Spec) error {
	secret, _, err := f.read()
	clear(secret)
	return err
}

// read returns the content of the file.
func (f *file) read() (content []byte, modified time.Time, err error) {
	in, info, err := regular.Open(f.path, MaxFile, f.judge)
	if err != nil {
		return nil, modified, err
	}
	defer func() { _ = in.Close() }() // nothing was written
	// One buffer of the right size: a growing one would leave copies behind.
	content = make([]byte, info.Size()+1)
	n, err := io.ReadFull(in, content)
	switch {
	case err == nil:
		err = fmt.Errorf("%s grew while it was read", f.path)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		err = nil
	}
	if err == nil && len(trim(content[:n])) == 0 {
		err = fmt.Errorf("%s is empty", f.path)
	}
	if err != nil {
		clear(content)
		return nil, modified, err
	}
	return content[:n], info.ModTime(), nil
}

// judge refuses a file that others may read.
func (f *file) judge(info fs.FileInfo) error {
	if f.insecure {
		return nil
	}
	if err := regular.OwnerOnly(f.path)(info); err != nil {
		return fmt.Errorf("%w, or accept it with InsecurePermissions", err)
	}
	return nil
}

// trim takes one line feed off the end, and the carriage return before it.
func trim(b []byte) []byte {
	if b, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		return bytes.TrimSuffix(b, []byte("\r"))
	}
	return b
}
