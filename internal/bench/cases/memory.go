package cases

import (
	"context"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A client is a caller that is a client of the SDK.
type client struct {
	session *mcp.ClientSession
	server  *mcp.ServerSession
	params  mcp.CallToolParams
}

func (s *Server) memory(ctx context.Context) (Caller, error) {
	near, far := mcp.NewInMemoryTransports()
	server, err := s.mcp.Connect(ctx, s.arriving(far), nil)
	if err != nil {
		return nil, err
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "bench", Version: "1"}, nil).Connect(ctx, near, nil)
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return &client{session, server, mcp.CallToolParams{Name: s.tool(Memory), Arguments: hello}}, nil
}

func (c *client) Call(ctx context.Context) error {
	params := c.params
	res, err := c.session.CallTool(ctx, &params)
	if err != nil {
		return err
	}
	return ran(res)
}

// ran returns an error unless the result is the tool's.
func ran(res *mcp.CallToolResult) error {
	if res.IsError || res.StructuredContent == nil {
		return fmt.Errorf("the tool failed: %w", res.GetError())
	}
	return nil
}

func (c *client) Close() error {
	err := c.session.Close()
	return errors.Join(err, c.server.Wait())
}
