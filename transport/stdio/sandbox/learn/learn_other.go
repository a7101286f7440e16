//go:build !linux

package learn

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// Seen is what a command has touched.
type Seen struct{}

// Profile returns nothing.
func (*Seen) Profile() (p sandbox.Profile, remarks []string) { return p, nil }

// Run fails: system calls are followed on Linux only.
func Run(context.Context, string, []string, *os.ProcAttr) (*Seen, error) {
	return nil, fmt.Errorf("learn: %w on this system: learn the profile on Linux", errors.ErrUnsupported)
}
