//go:build linux

package learn

import (
	"context"
	"fmt"
	"net/netip"
	"os"
)

// Run runs a program as [os.StartProcess] does, follows it and all its descendants until
// they have ended or ctx ends, and returns what they touched. Everything is allowed
// meanwhile: run nothing that is not trusted to that extent. What is left of it when ctx
// ends is killed.
func Run(ctx context.Context, path string, args []string, attr *os.ProcAttr) (*Seen, error) {
	if attr == nil {
		attr = &os.ProcAttr{}
	}
	o := &observer{seen: newSeen(), names: make(map[netip.Addr]string), resolver: make(map[descriptor]bool)}
	t := &tracer{begin: o.begin, end: o.end}
	done := make(chan error, 1)
	go func() { done <- t.trace(ctx, path, args, attr) }()
	if err := <-done; err != nil {
		return nil, fmt.Errorf("learn: %w", err)
	}
	o.seen.exec(target(path))
	return o.seen, nil
}
