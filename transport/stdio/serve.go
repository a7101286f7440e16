package stdio

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Serve runs a server on standard input and output behind the guard's frame until
// the client closes them or ctx ends. The guard must be installed on the server.
// Nothing else may write to standard output meanwhile. At most one Serve runs in a
// process at a time. It returns an error that wraps mcpsec.ErrNotInstalled if the
// guard is not in force on the server, nil when the client left, ctx.Err() when ctx
// ended, and otherwise why the session broke.
func Serve(ctx context.Context, guard *mcpsec.Guard, server *mcp.Server) error {
	if guard == nil || server == nil {
		return errors.New("stdio: Serve needs a guard and a server")
	}
	if err := guard.InForce(server); err != nil {
		return fmt.Errorf("stdio: %w", err)
	}
	return server.Run(ctx, guard.Transport(&mcp.StdioTransport{}, Peer()))
}

// Peer describes the process that started this one and holds the other end of its
// standard input: by the user that both run as. A client that wanted another user's
// rights would have to be that user.
func Peer() mcpsec.Peer {
	return mcpsec.Peer{Process: fmt.Sprintf("uid:%d", os.Getuid())}
}
