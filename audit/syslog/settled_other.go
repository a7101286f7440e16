//go:build !linux

package syslog

import "context"

// settled has nothing to ask here: see the package comment for what that leaves.
func (*stream) settled(context.Context) error { return nil }
