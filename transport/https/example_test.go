package https_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
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

// A server runs until its context ends, and ends in order.
func ExampleListenAndServe() {
	guard, err := mcpsec.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1"}, nil)
	if err := guard.Install(server); err != nil {
		fmt.Println(err)
		return
	}
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
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel) // a program would wait for a signal: signal.NotifyContext
	fmt.Println(https.ListenAndServe(ctx, "127.0.0.1:0", https.Config{
		Guard: guard, Server: server, Certificates: dev, Clients: dev, Log: slog.New(slog.DiscardHandler),
	}))
	// Output: <nil>
}

// The kill switch ends what a principal has open, and keeps it out.
func ExampleServer_Freeze() {
	guard, err := mcpsec.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1"}, nil)
	if err := guard.Install(server); err != nil {
		fmt.Println(err)
		return
	}
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
	s, err := https.New(https.Config{
		Guard: guard, Server: server, Certificates: dev, AllowAnonymous: true, Hosts: []string{"example.com"},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := s.Handler()
	ask := func() {
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	ask() // no message
	s.Freeze(func(p mcpsec.Principal) bool { return p.Subject == "192.0.2.1" }, "it probes for passwords")
	ask()
	s.Thaw()
	ask()
	fmt.Println(s.Shutdown(context.Background()))
	// Output:
	// 400
	// 403
	// 400
	// <nil>
}
