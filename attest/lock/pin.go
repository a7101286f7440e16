package lock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// An Option says how a server is pinned.
type Option func(*settings)

type settings struct {
	server   string
	firstUse bool
	artifact *Artifact
	log      *slog.Logger
	now      func() time.Time
}

// Name is the name of the server in the lock file. It is the project's own name for it
// and required: the name a server gives itself is the server's to choose.
func Name(server string) Option { return func(s *settings) { s.server = server } }

// FirstUse trusts what is seen first, and writes it into the lock file; the package
// documentation says what that leaves open.
func FirstUse() Option { return func(s *settings) { s.firstUse = true } }

// Launched says which program or package runs, by the SHA-256 of its bytes in 64
// lower-case hexadecimal digits. It must then be the one in the lock file. The caller
// computes the digest from the bytes that it launches.
func Launched(name, sha256 string) Option {
	return func(s *settings) { s.artifact = &Artifact{Name: name, SHA256: sha256} }
}

// Logger is told of every pin on first use, as a warning, and of every refusal, as an
// error, with its code. Of a flood, 100 a minute are recorded of each sort and
// connection, and then how many were not. The default is [slog.Default]; a logger over
// audit.NewHandler takes them into the audit record.
func Logger(log *slog.Logger) Option { return func(s *settings) { s.log = log } }

// Pin wraps a transport to a server, so that a client sees only what the lock file
// approves. The file may lie on a read-only file system; then a refusal cannot be kept
// for review. It is read again when it is replaced, also while a session runs.
//
// What is not approved makes its request fail, with an error from which [DenialOf]
// makes a [mcpsec.Denial]; other requests go on. A server that is not approved cannot
// be connected to. Every transport of the SDK is supported. With
// [mcp.StreamableClientTransport] the comparison takes place around its HTTP client,
// because the SDK serves older protocol revisions fully only through its own
// connection; give Pin that transport itself and not one that wraps it.
//
// The result is for one connection, like other transports.
func Pin(inner mcp.Transport, path string, opts ...Option) mcp.Transport {
	s := settings{log: slog.Default(), now: time.Now}
	for _, opt := range opts {
		opt(&s)
	}
	return &transport{inner: inner, check: func() error { return s.check(path) }, judge: func() judge {
		return &pins{
			server: s.server, firstUse: s.firstUse, artifact: s.artifact, log: s.log, now: s.now,
			approved: approvedIn(path), pending: pendingIn(path),
			next: make(map[Kind]string), seen: make(map[Kind]map[string]string),
		}
	}}
}

func (s *settings) check(path string) error {
	switch {
	case path == "":
		return errors.New("attest/lock: no path of a lock file")
	case s.server == "":
		return errors.New("attest/lock: say with lock.Name which server of the lock file this is")
	case s.log == nil:
		return errors.New("attest/lock: Logger(nil)")
	case s.artifact != nil && (s.artifact.Name == "" || !isDigest(s.artifact.SHA256)):
		return errors.New("attest/lock: Launched needs a name and a SHA-256 in 64 lower-case hexadecimal digits")
	}
	if err := checkName(s.server); err != nil {
		return fmt.Errorf("attest/lock: %w", err)
	}
	return nil
}

// A transport puts a gate into each connection.
type transport struct {
	inner mcp.Transport
	check func() error // of the options
	judge func() judge
}

// Connect implements [mcp.Transport].
func (t *transport) Connect(ctx context.Context) (mcp.Connection, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	gate := newGate(t.judge())
	switch inner := t.inner.(type) {
	case nil:
		return nil, errors.New("attest/lock: no transport")
	case *mcp.StreamableClientTransport:
		return gated(inner, gate).Connect(ctx)
	default:
		conn, err := inner.Connect(ctx)
		if err != nil {
			return nil, err
		}
		return &connection{Connection: conn, gate: gate}, nil
	}
}

// A connection passes messages through a gate.
type connection struct {
	mcp.Connection

	gate *gate
}

// Read implements [mcp.Connection].
func (c *connection) Read(ctx context.Context) (jsonrpc.Message, error) {
	msg, err := c.Connection.Read(ctx)
	if err != nil {
		return nil, err
	}
	return c.gate.incoming(ctx, msg), nil
}

// Write implements [mcp.Connection].
func (c *connection) Write(ctx context.Context, msg jsonrpc.Message) error {
	if err := c.gate.outgoing(ctx, msg); err != nil {
		return &kept{err}
	}
	err := c.Connection.Write(ctx, msg)
	if err != nil {
		c.gate.forget(msg)
	}
	return err
}

// rejected is the code by which the SDK knows that a message was kept back and that
// the connection is sound.
const rejected = -32005

// kept is the error about a message that was kept back.
type kept struct{ cause error }

func (k *kept) Error() string { return k.cause.Error() }

func (k *kept) Unwrap() []error {
	return []error{k.cause, &jsonrpc.Error{Code: rejected, Message: "kept back by the lock file"}}
}
