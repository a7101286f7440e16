//go:build linux && (amd64 || arm64)

package sandbox

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
)

// lateContext ends just when a start looks for the reason why it failed.
type lateContext struct {
	context.Context

	asked  atomic.Int32
	cancel context.CancelFunc
}

func (c *lateContext) Err() error {
	err := c.Context.Err()
	if c.asked.Add(1) == 2 {
		go c.cancel()
	}
	return err
}

// The caller gives up while a start that failed is being taken apart.
func TestCancelWhileAStartFails(t *testing.T) {
	t.Parallel()
	if asuser.Again(t) {
		return
	}
	for range 30 {
		ctx, cancel := context.WithCancel(t.Context())
		c := shell("true")
		c.Profile.Dir = "/nonexistent"
		p, err := Start(&lateContext{Context: ctx, cancel: cancel}, c)
		cancel()
		if err == nil {
			t.Fatalf("started: %+v", p)
		}
	}
}
