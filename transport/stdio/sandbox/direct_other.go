//go:build !linux || (!amd64 && !arm64)

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// Direct starts processes with nothing but system calls of Linux, on amd64 and arm64.
// Elsewhere every start fails with an error that wraps [errors.ErrUnsupported].
var Direct Backend = direct{}

type direct struct{}

func (direct) Start(context.Context, *Command) (Process, error) { return nil, unsupported() }

// Probe says what [Direct] can put in force here: nothing.
func Probe(context.Context) (*Report, error) { return nil, unsupported() }

// Explain says which system calls [Direct] would make.
func Explain(*Command) (string, error) { return "", unsupported() }

func unsupported() error {
	return fmt.Errorf("sandbox: %w on %s/%s: Linux on amd64 or arm64 has it", errors.ErrUnsupported, runtime.GOOS, runtime.GOARCH)
}
