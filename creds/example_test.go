package creds_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "store")
	if err := os.WriteFile(path, []byte("correct horse battery staple\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	guard, err := mcpsec.New(creds.New(
		creds.ForTool("list_notes", creds.Named("store", creds.File(path))),
	))
	if err != nil {
		log.Fatal(err)
	}

	type input struct{}
	listNotes := func(ctx context.Context, _ *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		key, err := creds.Secret(ctx, "store")
		if err != nil {
			return nil, nil, err
		}
		secret := key.Reveal()
		defer clear(secret)
		text := fmt.Sprintf("read with a key of %d bytes that prints as %v", len(secret), key)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	}
	deleteNotes := func(ctx context.Context, _ *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		_, err := creds.Secret(ctx, "store") // bound to another tool
		return nil, nil, err
	}

	server := mcp.NewServer(&mcp.Implementation{Name: "notes"}, nil)
	if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "list_notes"}, listNotes); err != nil {
		log.Fatal(err)
	}
	if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "delete_notes"}, deleteNotes); err != nil {
		log.Fatal(err)
	}
	if err := guard.Install(server); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	near, far := mcp.NewInMemoryTransports()
	session, err := server.Connect(ctx, guard.Transport(far, mcpsec.Peer{Process: "uid:1000"}), nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil).Connect(ctx, near, nil)
	if err != nil {
		log.Fatal(err)
	}
	res, err := client.CallTool(ctx, &mcp.CallToolParams{Name: "list_notes", Arguments: map[string]any{}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Content[0].(*mcp.TextContent).Text)
	_, err = client.CallTool(ctx, &mcp.CallToolParams{Name: "delete_notes", Arguments: map[string]any{}})
	fmt.Println("delete_notes refused:", err != nil)

	if err := client.Close(); err != nil {
		log.Fatal(err)
	}
	if err := session.Wait(); err != nil {
		log.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		log.Fatal(err)
	}
	// Output:
	// read with a key of 28 bytes that prints as [secret]
	// delete_notes refused: true
}

func ExampleValue() {
	key := creds.NewValue([]byte("hunter2"))
	fmt.Printf("%v %s %x %#v %+v\n", key, key, key, key, struct{ V creds.Value }{key})
	key.Close()
	fmt.Println(key.Reveal() == nil)
	// Output:
	// [secret] [secret] [secret] [secret] {V:[secret]}
	// true
}

func ExampleProviderFunc() {
	exchange := creds.ProviderFunc(func(_ context.Context, s creds.Spec, r creds.Request) (creds.Material, error) {
		scope, _ := s.Param("scope")
		return creds.Material{Secret: creds.NewValue([]byte("token for " + r.Tool + " with " + scope)), Version: "1"}, nil
	})
	_, err := mcpsec.New(creds.New(
		creds.ForTool("read", creds.Named("api", exchange, creds.With("scope", "notes.read"))),
		creds.ForTool("write", creds.Named("api", exchange, creds.With("scope", "notes.write"))),
	))
	fmt.Println(err)
	// Output: <nil>
}
