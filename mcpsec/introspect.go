package mcpsec

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// introspectTimeout bounds what the guard asks of a server at start.
const introspectTimeout = 10 * time.Second

// capture returns the server's dispatch as it is now.
func capture(s *mcp.Server) (sdk mcp.MethodHandler) {
	s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		sdk = next
		return next
	})
	return sdk
}

// introspect lends a session on the server and the server's dispatch as it is now,
// so that the guard can ask as a client does without a client.
func introspect(s *mcp.Server, ask func(context.Context, mcp.MethodHandler, *mcp.ServerSession) error) error {
	sdk := capture(s)
	return withSession(s, func(ctx context.Context, ss *mcp.ServerSession) error { return ask(ctx, sdk, ss) })
}

func withSession(s *mcp.Server, do func(context.Context, *mcp.ServerSession) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), introspectTimeout)
	defer cancel()
	ss, err := s.Connect(ctx, &silent{done: make(chan struct{})}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = ss.Close() }() // a silent connection has nothing to report
	return do(ctx, ss)
}

// silent is a transport and its connection: nothing arrives and nothing leaves.
type silent struct {
	once sync.Once
	done chan struct{}
}

func (s *silent) Connect(context.Context) (mcp.Connection, error) { return s, nil }
func (s *silent) SessionID() string                               { return "" }

func (s *silent) Read(ctx context.Context) (jsonrpc.Message, error) {
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	return nil, io.EOF
}

func (s *silent) Write(context.Context, jsonrpc.Message) error { return nil }

func (s *silent) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

// everything is what a server offers, in the SDK's own pointers.
type everything struct {
	Tools     []*mcp.Tool
	Prompts   []*mcp.Prompt
	Resources []*mcp.Resource
	Templates []*mcp.ResourceTemplate
}

// listEverything asks the server's dispatch for every page of every list.
func listEverything(ctx context.Context, sdk mcp.MethodHandler, ss *mcp.ServerSession) (all everything, err error) {
	if all.Tools, err = gather(ctx, sdk, methodListTools, func(cursor string) mcp.Request {
		return &mcp.ListToolsRequest{Session: ss, Params: &mcp.ListToolsParams{Cursor: cursor}}
	}, func(r *mcp.ListToolsResult) ([]*mcp.Tool, string) { return r.Tools, r.NextCursor }); err != nil {
		return all, err
	}
	if all.Prompts, err = gather(ctx, sdk, methodListPrompts, func(cursor string) mcp.Request {
		return &mcp.ListPromptsRequest{Session: ss, Params: &mcp.ListPromptsParams{Cursor: cursor}}
	}, func(r *mcp.ListPromptsResult) ([]*mcp.Prompt, string) { return r.Prompts, r.NextCursor }); err != nil {
		return all, err
	}
	if all.Resources, err = listResources(ctx, sdk, ss); err != nil {
		return all, err
	}
	all.Templates, err = listTemplates(ctx, sdk, ss)
	return all, err
}

func listResources(ctx context.Context, sdk mcp.MethodHandler, ss *mcp.ServerSession) ([]*mcp.Resource, error) {
	return gather(ctx, sdk, methodListResources, func(cursor string) mcp.Request {
		return &mcp.ListResourcesRequest{Session: ss, Params: &mcp.ListResourcesParams{Cursor: cursor}}
	}, func(r *mcp.ListResourcesResult) ([]*mcp.Resource, string) { return r.Resources, r.NextCursor })
}

func listTemplates(ctx context.Context, sdk mcp.MethodHandler, ss *mcp.ServerSession) ([]*mcp.ResourceTemplate, error) {
	return gather(ctx, sdk, methodListTemplates, func(cursor string) mcp.Request {
		return &mcp.ListResourceTemplatesRequest{Session: ss, Params: &mcp.ListResourceTemplatesParams{Cursor: cursor}}
	}, func(r *mcp.ListResourceTemplatesResult) ([]*mcp.ResourceTemplate, string) {
		return r.ResourceTemplates, r.NextCursor
	})
}

// gather collects the items of all pages of one list.
func gather[T any, R mcp.Result](ctx context.Context, sdk mcp.MethodHandler, method string, page func(cursor string) mcp.Request, items func(R) ([]T, string)) (all []T, err error) {
	for cursor := ""; ; {
		res, err := sdk(ctx, method, page(cursor))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		r, ok := res.(R)
		if !ok {
			return nil, fmt.Errorf("%s: answered with a %T", method, res)
		}
		some, next := items(r)
		if all = append(all, some...); next == "" {
			return all, nil
		}
		cursor = next
	}
}
