package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
)

// notes is the program of the manifest scripts: a server whose lists have several pages,
// and a client that calls it.
//
//	notes serve                          without attest
//	notes serve MANIFEST PUBLIC-KEY...   held to the signed manifest
//	notes capture FILE                   writes its own manifest
//	notes call COMMAND [ARGUMENT]...     starts a server and calls its tool read
func notes() {
	if err := runNotes(context.Background(), os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "notes:", err)
		os.Exit(1)
	}
}

func runNotes(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("serve, capture or call")
	}
	var controls []mcpsec.Control
	switch {
	case args[0] == "call":
		return callRead(ctx, args[1:])
	case args[0] == "capture":
		controls = append(controls, attest.Capture(func(m *manifest.Manifest) error { return attest.WriteFile(args[1], m) }))
	case len(args) > 2:
		controls = append(controls, attest.New(attest.Manifest(args[1], attest.Key(args[2])), attest.Dir("."), attest.State("state")))
	}
	guard, err := mcpsec.New(controls...)
	if err != nil {
		return err
	}
	description := "Reads a note."
	if os.Getenv("NOTES_TEXT") != "" {
		description = os.Getenv("NOTES_TEXT")
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.2.0"}, &mcp.ServerOptions{Instructions: "Be brief.", PageSize: 1})
	read := func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		f, err := attest.Artifact(ctx, "rules")
		if err != nil {
			return nil, nil, err
		}
		text, err := io.ReadAll(f.Reader())
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(text)}}}, nil, err
	}
	find := func(context.Context, *mcp.CallToolRequest, struct{ Word string }) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	}
	if err := errors.Join(
		mcpsec.AddTool(guard, server, &mcp.Tool{Name: "read", Description: description}, read),
		mcpsec.AddTool(guard, server, &mcp.Tool{Name: "find", Description: "Finds a word."}, find),
	); err != nil {
		return err
	}
	server.AddPrompt(&mcp.Prompt{Name: "tidy", Description: "Tidies up."}, nil)
	server.AddPrompt(&mcp.Prompt{Name: "write"}, nil)
	server.AddResource(&mcp.Resource{URI: "note://today", Name: "today"}, nil)
	server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "note://{day}", Name: "day"}, nil)
	if err := guard.Install(server); err != nil || args[0] == "capture" {
		return err
	}
	return errors.Join(stdio.Serve(ctx, guard, server), guard.Close())
}

func callRead(ctx context.Context, command []string) error {
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	server := exec.CommandContext(ctx, command[0], command[1:]...)
	server.Stderr = os.Stderr
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: server}, nil)
	if err != nil {
		return err
	}
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "read"})
	if err == nil && len(result.Content) == 1 {
		if text, ok := result.Content[0].(*mcp.TextContent); ok {
			_, err = fmt.Fprintf(os.Stdout, "read: %s\n", text.Text)
		}
	}
	return errors.Join(err, session.Close())
}
