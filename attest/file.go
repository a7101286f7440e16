package attest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// Load reads a manifest file: a regular file, or a symbolic link to one, of at
// most [MaxManifest] bytes. It opens the file once and decodes what it read.
func Load(path string) (*Pins, error) {
	data, err := regular.ReadFile(path, MaxManifest)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	p, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// WriteFile writes the manifest with permissions 0644. The file appears complete
// or not at all, and replaces one of that name.
func (p *Pins) WriteFile(path string) (err error) {
	data, err := p.Encode()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("manifest: %w", err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), ".manifest-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// executablePath names the image that is running. On Linux that is the image
// itself, whatever its path names by now, and the kernel lets nobody write to it.
func executablePath() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// executableDigest hashes the running executable: about a millisecond a megabyte.
func executableDigest(ctx context.Context) (string, error) {
	path, err := executablePath()
	if err != nil {
		return "", fmt.Errorf("the running executable: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the running executable: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	hash := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("the running executable: %w", err)
		}
		switch _, err := io.CopyN(hash, f, 8<<20); {
		case errors.Is(err, io.EOF):
			return hex.EncodeToString(hash.Sum(nil)), nil
		case err != nil:
			return "", fmt.Errorf("the running executable: %w", err)
		}
	}
}

// checkExecutable compares the running executable with the pin, if there is one.
func (p *Pins) checkExecutable(ctx context.Context) error {
	if p.ExecutableSHA256 == "" {
		return nil
	}
	got, err := executableDigest(ctx)
	if err != nil {
		return err
	}
	if got != p.ExecutableSHA256 {
		return fmt.Errorf("the executable is another one: expected sha256:%s, found sha256:%s", p.ExecutableSHA256, got)
	}
	return nil
}
