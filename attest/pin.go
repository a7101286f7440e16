package attest

import (
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest/lock"
)

// Pin wraps a host's transport to somebody else's server, so that the client sees only
// what the lock file approves. It is [lock.Pin]; the options are those of package lock,
// of which [lock.Name] is required.
func Pin(transport mcp.Transport, lockfile string, opts ...lock.Option) mcp.Transport {
	return lock.Pin(transport, lockfile, opts...)
}
