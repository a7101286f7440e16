package https_test

import (
	"context"
	"fmt"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A configuration that would let anybody in must say so.
func ExampleNew() {
	guard, err := mcpsec.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1"}, nil)
	look := func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	}
	if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "look"}, look); err != nil {
		fmt.Println(err)
		return
	}
	if err := guard.Install(server); err != nil {
		fmt.Println(err)
		return
	}
	_, err = https.New(https.Config{Guard: guard, Server: server, Origins: []string{"*"}})
	fmt.Println(err)
	// Output:
	// https: nobody could be told from anybody else: set Config.Tokens or Config.Clients, or say AllowAnonymous
	// Config.Origins: "*" is no origin in lower case, such as https://app.example.com
}
