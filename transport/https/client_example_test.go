package https_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Two programs speak mutual TLS. Here one development authority serves for both sides; the
// client reads from files what it was given.
func ExampleNewClient() {
	dir, err := os.MkdirTemp("", "development")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	dev, err := pki.Development(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	address, stop := serveExample(dev)
	defer stop()
	cert, key, err := dev.IssueClient("alice")
	if err != nil {
		fmt.Println(err)
		return
	}

	cas, err := pki.CAFile(dev.CA())
	if err != nil {
		fmt.Println(err)
		return
	}
	own, err := pki.Files(cert, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := https.NewClient(https.ClientConfig{CAs: cas, Certificate: own})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	session, err := mcp.NewClient(&mcp.Implementation{Name: "alice", Version: "1"}, nil).
		Connect(context.Background(), client.Transport("https://"+address+"/mcp"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	res, err := session.CallTool(context.Background(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Content[0].(*mcp.TextContent).Text)
	// Output: spiffe://localhost/alice
}

// serveExample serves the tool whoami to clients of a development authority.
func serveExample(dev *pki.Local) (address string, stop func()) {
	guard, err := mcpsec.New()
	if err != nil {
		panic(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "example", Version: "1"}, &mcp.ServerOptions{Logger: slog.New(slog.DiscardHandler)})
	mcpsec.AddTool(guard, server, &mcp.Tool{Name: "whoami"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		who, _ := mcpsec.PrincipalFrom(ctx)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: who.Subject}}}, nil, nil
	})
	if err := guard.Install(server); err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s, err := https.New(https.Config{
		Guard: guard, Server: server, Certificates: dev, Clients: dev, Hosts: []string{l.Addr().String()},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	return l.Addr().String(), func() { cancel(); <-done }
}

// A server passes its socket to its successor and ends; see Succeed for the other side.
func ExampleInherit() {
	inherited, err := https.Inherit()
	if err != nil {
		fmt.Println(err)
		return
	}
	l := inherited.Listener("mcp")
	if l == nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	fmt.Println(inherited.Ready())
	_ = server.Close()
	fmt.Println(<-done)
	// Output:
	// <nil>
	// http: Server closed
}
