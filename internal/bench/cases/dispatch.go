package cases

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A wire is a transport and its connection: what is put into requests arrives at
// the server, and what the server answers comes out of answers.
type wire struct {
	requests chan *jsonrpc.Request
	answers  chan *jsonrpc.Response
	once     sync.Once
	done     chan struct{}
}

func newWire() *wire {
	return &wire{requests: make(chan *jsonrpc.Request), answers: make(chan *jsonrpc.Response, 1), done: make(chan struct{})}
}

func (w *wire) Connect(context.Context) (mcp.Connection, error) { return w, nil }
func (w *wire) SessionID() string                               { return "" }

func (w *wire) Read(ctx context.Context) (jsonrpc.Message, error) {
	select {
	case req := <-w.requests:
		return req, nil
	case <-w.done:
	case <-ctx.Done():
	}
	return nil, io.EOF
}

func (w *wire) Write(_ context.Context, msg jsonrpc.Message) error {
	if res, ok := msg.(*jsonrpc.Response); ok {
		select {
		case w.answers <- res:
		case <-w.done:
		}
	}
	return nil
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

// A dispatcher is a caller that speaks ready-made JSON-RPC messages, in the last
// protocol revision that has sessions.
type dispatcher struct {
	wire    *wire
	session *mcp.ServerSession
	id      jsonrpc.ID // of every call: one is under way at a time
	params  json.RawMessage
	want    []byte
}

const initializeParams = `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}`

func (s *Server) dispatch(ctx context.Context) (_ Caller, err error) {
	d := &dispatcher{wire: newWire()}
	if d.id, err = jsonrpc.MakeID(1.0); err != nil {
		return nil, err
	}
	echo, err := json.Marshal(hello)
	if err != nil {
		return nil, err
	}
	d.want = append([]byte(`"structuredContent":`), echo...)
	if d.params, err = json.Marshal(&mcp.CallToolParams{Name: s.tool(Dispatch), Arguments: hello}); err != nil {
		return nil, err
	}
	if d.session, err = s.mcp.Connect(ctx, s.arriving(d.wire), nil); err != nil {
		return nil, err
	}
	if _, err := d.ask(ctx, &jsonrpc.Request{ID: d.id, Method: "initialize", Params: json.RawMessage(initializeParams)}); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := d.send(ctx, &jsonrpc.Request{Method: "notifications/initialized", Params: json.RawMessage(`{}`)}); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *dispatcher) Call(ctx context.Context) error {
	result, err := d.ask(ctx, &jsonrpc.Request{ID: d.id, Method: "tools/call", Params: d.params})
	if err != nil {
		return err
	}
	if !bytes.Contains(result, d.want) {
		return fmt.Errorf("the tool answered %s", result)
	}
	return nil
}

func (d *dispatcher) ask(ctx context.Context, req *jsonrpc.Request) (json.RawMessage, error) {
	if err := d.send(ctx, req); err != nil {
		return nil, err
	}
	select {
	case res := <-d.wire.answers:
		return res.Result, res.Error
	case <-d.wire.done:
		return nil, io.ErrClosedPipe
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *dispatcher) send(ctx context.Context, req *jsonrpc.Request) error {
	select {
	case d.wire.requests <- req:
		return nil
	case <-d.wire.done:
		return io.ErrClosedPipe
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *dispatcher) Close() error { return errors.Join(d.wire.Close(), d.session.Close()) }
