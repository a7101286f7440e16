package sandbox

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/notify"
)

// Supervise answers the connect calls of a process without a network namespace until none
// of its processes is left, or ctx ends. connect decides on one call and returns a connected
// socket that takes the place of the process's; an error refuses the call with EACCES.
func (n Network) Supervise(ctx context.Context, connect func(ctx context.Context, address netip.AddrPort) (*net.TCPConn, error)) error {
	if n.Notify == nil {
		return errors.New("sandbox: nothing to supervise: the process has a network namespace")
	}
	return notify.Serve(ctx, n.Notify, connect)
}
