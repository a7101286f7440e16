package stdio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// own is the transport of a process's own standard input and output.
type own struct {
	std  *standard
	most int
}

// Connect implements [mcp.Transport].
func (o *own) Connect(context.Context) (mcp.Connection, error) {
	return &ownConn{std: o.std, lines: newLines(o.std.in, o.most)}, nil
}

type ownConn struct {
	std     *standard
	lines   *lines
	closed  atomic.Bool
	writing sync.Mutex
}

// SessionID implements [mcp.Connection].
func (*ownConn) SessionID() string { return "" }

// Read implements [mcp.Connection]. The guard's frame, which is around it, refuses what
// [malformed] makes.
func (c *ownConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, c.std.in.interrupt)
		defer stop()
	}
	line, err := c.lines.next()
	switch {
	case err == nil:
		msg, err := readMessage(line)
		if err != nil {
			return malformed(line), nil
		}
		return msg, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case c.closed.Load(), errors.Is(err, io.EOF):
		return nil, io.EOF
	}
	return nil, fmt.Errorf("stdio: standard input: %w", err)
}

// malformed makes a request that the guard refuses of a line that is no message, so that
// it is counted, recorded, and answered if its sender can be told which it was. Nothing of
// it but the id is used, and that only towards the sender.
func malformed(line []byte) *jsonrpc.Request {
	req := &jsonrpc.Request{Method: "malformed", Params: json.RawMessage(`{`)}
	var head struct {
		ID any `json:"id"`
	}
	if json.Unmarshal(line, &head) != nil {
		return req
	}
	if text, ok := head.ID.(string); ok && len(text) > 256 {
		return req
	}
	if id, err := jsonrpc.MakeID(head.ID); err == nil {
		req.ID = id
	}
	return req
}

// Write implements [mcp.Connection].
func (c *ownConn) Write(ctx context.Context, msg jsonrpc.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.closed.Load() {
		return io.ErrClosedPipe
	}
	return writeMessage(c.std.out, msg)
}

// Close implements [mcp.Connection]. It ends a Read that waits.
func (c *ownConn) Close() error {
	c.closed.Store(true)
	c.std.in.interrupt()
	return nil
}
