package draft_test

import (
	"context"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest/lock"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/attest/manifest/draft"
)

func Example() {
	ctx := context.Background()
	server := mcp.NewServer(&mcp.Implementation{Name: "weather", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "today", Description: "Tells the weather."}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	})
	here, there := mcp.NewInMemoryTransports() // or an mcp.CommandTransport
	session, err := server.Connect(ctx, there, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	seen, err := lock.Observe(ctx, here)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := draft.New(seen, time.Now(), manifest.MaxLifetime)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.ServerName, m.Sequence, m.Tools[0].Name, m.Tools[0].Version)
	fmt.Println(draft.Match(m, seen), session.Wait())
	// Output:
	// weather 1 today 1.0.0
	// <nil> <nil>
}
