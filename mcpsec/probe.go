package mcpsec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A probe sends messages to the server as a client would, over an in-memory
// connection, and watches whether they meet the guard. Its messages take the
// guard's whole way but for the controls themselves, which would count and record
// what nobody asked for.
type probe struct {
	mu  sync.Mutex
	met []string // methods that reached the guard
}

const (
	probeDenied = "mcpsec.probe.denied"
	probePanic  = "mcpsec.probe.panic"
	probeMethod = "mcpsec/probe"
)

// chain stands in for the controls.
func (p *probe) chain(ctx context.Context, call *Call) (mcp.Result, error) {
	p.mu.Lock()
	p.met = append(p.met, call.Method+" "+call.Name)
	p.mu.Unlock()
	f := call.flight
	switch {
	case call.Method == methodInitialize:
		return f.forward(ctx, call)
	case call.Name == probePanic:
		f.next = func(context.Context, string, mcp.Request) (mcp.Result, error) { panic("probe") }
		return f.forward(ctx, call)
	case f.fault != nil:
		return nil, f.fault
	}
	return nil, codeProbe.Deny("probe")
}

func (p *probe) saw(what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.met, what)
}

// probe proves that the guard is in force.
func (g *Guard) probe(ctx context.Context, s *mcp.Server) error {
	p := &probe{}
	g.probing.Store(p)
	defer g.probing.Store(nil)

	near, far := mcp.NewInMemoryTransports()
	ss, err := s.Connect(ctx, &framedTransport{guard: g, inner: far, probe: p}, nil)
	if err != nil {
		return err
	}
	conn, err := near.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		_ = conn.Close() // closing is how the probe ends
		_ = ss.Close()
	}()
	c := prober{ctx, conn, 0}
	if err := c.call(methodInitialize, map[string]any{
		"protocolVersion": "2025-11-25", "capabilities": map[string]any{},
		"clientInfo": map[string]any{"name": "mcpsec", "version": "probe"},
	}); err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	tests := []struct {
		what   string
		method string
		params map[string]any
		met    string
		code   int64
	}{
		{"a denied tool", methodCallTool, map[string]any{"name": probeDenied}, methodCallTool + " " + probeDenied, jsonrpc.CodeInvalidParams},
		{"a panicking handler", methodCallTool, map[string]any{"name": probePanic}, methodCallTool + " " + probePanic, jsonrpc.CodeInternalError},
		{"an unknown method", probeMethod, map[string]any{}, probeMethod + " ", jsonrpc.CodeMethodNotFound},
		{"a subscription", methodListen, map[string]any{"notifications": map[string]any{"resourceSubscriptions": []string{"mcpsec:probe"}}}, methodListen + " ", jsonrpc.CodeMethodNotFound},
	}
	for _, test := range tests {
		err := c.call(test.method, test.params)
		if err == nil || wireCode(err) != test.code {
			if err == nil {
				err = errors.New("it was answered")
			}
			return fmt.Errorf("%s was not answered with error %d: %w", test.what, test.code, err)
		}
		if !p.saw(test.met) {
			return fmt.Errorf("%s did not meet the guard", test.what)
		}
	}
	if g.outflanked.Load() {
		return errors.New("a middleware wraps around the guard")
	}
	return nil
}

// A prober speaks JSON-RPC one call at a time.
type prober struct {
	ctx  context.Context
	conn mcp.Connection
	last float64
}

func (c *prober) call(method string, params any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	c.last++
	id, err := jsonrpc.MakeID(c.last)
	if err != nil {
		return err
	}
	if err := c.conn.Write(c.ctx, &jsonrpc.Request{ID: id, Method: method, Params: raw}); err != nil {
		return err
	}
	for {
		msg, err := c.conn.Read(c.ctx)
		if err != nil {
			return err
		}
		if res, ok := msg.(*jsonrpc.Response); ok && res.ID == id {
			return res.Error
		}
	}
}
