package cases

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	_ "unsafe" // for go:linkname

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// sdkPackage is how the names of those functions begin that the guard lets call its
// middleware. Whoever else calls is an intruder, and so would be the benchmark.
//
//go:linkname sdkPackage github.com/mcpsec/mcpsec-go/mcpsec.sdkPackage
var sdkPackage string

// beLetIn makes the guards of this process take both the SDK and this module for
// the SDK. The check itself takes as long as ever.
var beLetIn = sync.OnceFunc(func() { sdkPackage = "github.com/m" })

// A direct is a caller that runs the server's chain of middleware itself.
type direct struct {
	dispatcher
	chain mcp.MethodHandler
	tool  string
	args  json.RawMessage
}

func (s *Server) direct(ctx context.Context) (Caller, error) {
	d := &direct{dispatcher: dispatcher{wire: newWire()}, tool: s.tool(Direct)}
	var err error
	if d.args, err = json.Marshal(hello); err != nil {
		return nil, err
	}
	// A middleware that leaves the chain as it is, so that nothing is outside the guard.
	s.mcp.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		d.chain = next
		return next
	})
	if d.session, err = s.mcp.Connect(ctx, d.wire, nil); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *direct) Call(ctx context.Context) error {
	res, err := d.chain(ctx, "tools/call", &mcp.CallToolRequest{
		Session: d.session, Params: &mcp.CallToolParamsRaw{Name: d.tool, Arguments: d.args},
	})
	if err != nil {
		return err
	}
	r, ok := res.(*mcp.CallToolResult)
	if !ok {
		return fmt.Errorf("the tool answered with a %T", res)
	}
	return ran(r)
}
