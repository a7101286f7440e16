//go:build !linux

package telemetry

import (
	"context"
	"errors"
	"fmt"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// Around returns a Backend that starts nothing: eBPF is Linux's.
func Around(sandbox.Backend, func(Event)) sandbox.Backend { return unsupported{} }

type unsupported struct{}

// Start fails.
func (unsupported) Start(context.Context, *sandbox.Command) (sandbox.Process, error) {
	return nil, fmt.Errorf("telemetry: %w on this system: eBPF is Linux's", errors.ErrUnsupported)
}
