package https

import (
	"context"
	"io"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var (
	_ mcp.Transport                = (*eventSession)(nil)
	_ mcp.Connection               = (*eventSession)(nil)
	_ mcp.ProtocolVersionSupporter = (*eventSession)(nil)
	_ mcpsec.RequestContexter      = (*eventSession)(nil)
	_ stream.Target                = (*eventSession)(nil)
)

// Connect tells the client where messages are posted.
func (n *eventSession) Connect(context.Context) (mcp.Connection, error) {
	_, err := n.out.Write(event("endpoint", []byte(n.url)))
	n.out.silent.Store(false)
	return n, err
}

// SupportsProtocolVersion reports whether a revision knows this transport.
func (n *eventSession) SupportsProtocolVersion(version string) bool { return version < current }

// SessionID is empty: the id is where messages are posted, and nobody's business.
func (n *eventSession) SessionID() string { return "" }

// Read returns the next message that was posted.
func (n *eventSession) Read(ctx context.Context) (jsonrpc.Message, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-n.done:
		return nil, io.EOF
	case in := <-n.queue:
		n.reading = in.ctx
		return in.message, nil
	}
}

// RequestContext returns the context of the request that brought the message.
func (n *eventSession) RequestContext(*jsonrpc.Request) context.Context { return n.reading }

// Write sends a message as an event.
func (n *eventSession) Write(_ context.Context, message jsonrpc.Message) error {
	data, err := jsonrpc.EncodeMessage(message)
	if err != nil {
		return err
	}
	if res, ok := message.(*jsonrpc.Response); ok {
		if n.probeAnswered(res.ID) {
			return nil
		}
		defer n.settle(res.ID)
	}
	n.open.Touch()
	_, err = n.out.Write(event("message", data))
	return err
}

// probeAnswered reports whether an answer is to the server's own probe.
func (n *eventSession) probeAnswered(id jsonrpc.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.answered == nil || id != n.probed {
		return false
	}
	close(n.answered)
	n.answered = nil
	return true
}

// settle forgets a call that was answered, and what came before it.
func (n *eventSession) settle(id jsonrpc.ID) {
	n.mu.Lock()
	call := n.calls[id]
	n.mu.Unlock()
	if call != nil {
		n.backlog.settle(call.mark)
	}
	n.end(id)
}

// Close ends the connection. It may be called more than once.
func (n *eventSession) Close() error {
	n.close()
	return nil
}

// End ends the session, as of [stream.Target]: its stream ends, and with it everything.
func (n *eventSession) End(cause stream.Cause) {
	n.cancel()
	n.live.End(cause)
}

// Kill is of [stream.Target]: the stream has its own.
func (n *eventSession) Kill() {}

// Warn is of [stream.Target].
func (n *eventSession) Warn(time.Time) bool { return true }

// Beat is of [stream.Target].
func (n *eventSession) Beat(time.Time) {}
