//go:build !linux

package oci

import (
	"context"
	"errors"
	"fmt"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// A Runtime starts processes by an OCI runtime, on Linux only.
type Runtime struct {
	Path string
	Args []string
	Dir  string
}

// Start fails: OCI runtimes run on Linux.
func (*Runtime) Start(context.Context, *sandbox.Command) (sandbox.Process, error) {
	return nil, fmt.Errorf("oci: %w on this system: OCI runtimes run on Linux", errors.ErrUnsupported)
}
