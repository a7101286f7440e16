//go:build !linux

package sandbox

import (
	"errors"
	"fmt"
	"runtime"
)

// Confine confines the calling process itself on Linux. Elsewhere it refuses.
func Confine(Profile, ...Control) (*Report, error) {
	return nil, fmt.Errorf("sandbox: a process cannot confine itself on %s: run it on Linux: %w", runtime.GOOS, errors.ErrUnsupported)
}
