package stdio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// An Option changes how [Serve] serves.
type Option func(*serving)

type serving struct {
	most    int
	confine func() error
}

// MaxLine bounds a message of the client in bytes; without it, [DefaultMaxLine] does.
func MaxLine(bytes int) Option { return func(s *serving) { s.most = bytes } }

var (
	busy          atomic.Bool // a Serve runs
	errParentGone = errors.New("the process that started this one is gone")
)

// Serve runs a server on standard input and output behind the guard's frame until
// the client closes them, the process that started this one is gone, or ctx ends. The
// guard must be installed on the server. At most one Serve runs in a process at a time.
//
// Meanwhile the protocol has the two descriptors for itself: descriptor 0 is empty, and
// what the program or its children print to descriptor 1 goes to standard error. A client
// that has closed its end makes writing fail and does not end the process by SIGPIPE.
// A line that is no message is refused, recorded by the guard and, where it has an id,
// answered; one that is too long ends the session.
//
// Serve returns an error that wraps mcpsec.ErrNotInstalled if the guard is not in force on
// the server, nil when the client left, ctx.Err() when ctx ended, and otherwise why the
// session broke or could not begin.
func Serve(ctx context.Context, guard *mcpsec.Guard, server *mcp.Server, opts ...Option) error {
	s := serving{most: DefaultMaxLine}
	for _, opt := range opts {
		opt(&s)
	}
	switch {
	case guard == nil || server == nil:
		return errors.New("stdio: Serve needs a guard and a server")
	case s.most <= 0:
		return errors.New("stdio: MaxLine needs a positive number of bytes")
	}
	if err := guard.InForce(server); err != nil {
		return fmt.Errorf("stdio: %w", err)
	}
	if busy.Swap(true) {
		return errors.New("stdio: Serve runs already: a process has one standard input")
	}
	defer busy.Store(false)
	return s.serve(ctx, guard, server)
}

func (s *serving) serve(ctx context.Context, guard *mcpsec.Guard, server *mcp.Server) (err error) {
	std, err := takeStandard()
	if err != nil {
		return fmt.Errorf("stdio: standard input and output: %w", err)
	}
	defer func() { err = errors.Join(err, std.giveBack()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop, err := watchParent(func() { cancel(errParentGone) })
	if err != nil {
		return fmt.Errorf("stdio: watching the process that started this one: %w", err)
	}
	defer stop()
	if s.confine != nil {
		if err := s.confine(); err != nil {
			return fmt.Errorf("stdio: %w", err)
		}
	}
	err = server.Run(ctx, guard.Transport(&own{std, s.most}, Peer()))
	if errors.Is(context.Cause(ctx), errParentGone) {
		return nil
	}
	return err
}

// Peer describes the process that started this one and holds the other end of its
// standard input: by the user that both run as. A client that wanted another user's
// rights would have to be that user.
func Peer() mcpsec.Peer {
	return mcpsec.Peer{Process: fmt.Sprintf("uid:%d", os.Getuid())}
}
