//go:build !linux

package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Serve fails: there is no such thing outside Linux.
func Serve(context.Context, *os.File, Connect) error {
	return fmt.Errorf("notify: seccomp is of Linux: %w", errors.ErrUnsupported)
}
