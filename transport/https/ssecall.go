package https

import (
	"context"
	"net/http"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// An eventCall is a call under way over HTTP+SSE.
type eventCall struct {
	entry  *stream.Entry
	mark   uint64 // of the backlog
	load   *stream.Load
	cancel context.CancelFunc
}

// leave gives back what the call held.
func (c *eventCall) leave() {
	c.entry.Leave()
	c.load.Release()
	c.cancel()
}

// End cancels the call, as of [stream.Target].
func (c *eventCall) End(stream.Cause) { c.cancel() }

// Kill is of [stream.Target].
func (c *eventCall) Kill() { c.cancel() }

// Warn is of [stream.Target].
func (*eventCall) Warn(time.Time) bool { return true }

// Beat is of [stream.Target].
func (*eventCall) Beat(time.Time) {}

// begin registers a call until it is answered.
func (n *eventSession) begin(c *caller, m *mcpsec.Message, load *stream.Load, cancel context.CancelFunc) *refusal {
	call := &eventCall{cancel: cancel, mark: n.backlog.mark()}
	entry, err := n.server.streams.Enter(stream.Call, c.holder, call)
	if err != nil {
		return n.server.full(err, "Limits.CallsPer", "Limits.Calls")
	}
	call.entry = entry
	if f := n.server.still(c); f != nil {
		entry.Leave()
		return f
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.calls == nil || n.calls[m.ID] != nil {
		entry.Leave()
		return refuse(http.StatusBadRequest, codeMalformed.Deny("the request id is in use"))
	}
	call.load = load.Move()
	n.calls[m.ID] = call
	return nil
}

// end forgets a call that was answered.
func (n *eventSession) end(id jsonrpc.ID) {
	if !id.IsValid() {
		return
	}
	n.mu.Lock()
	call := n.calls[id]
	delete(n.calls, id)
	n.mu.Unlock()
	if call != nil {
		call.leave()
	}
}

// leave gives back what the session held.
func (n *eventSession) leave() {
	n.mu.Lock()
	calls := n.calls
	n.calls = nil
	n.mu.Unlock()
	for _, call := range calls {
		call.leave()
	}
	n.open.Leave()
}
