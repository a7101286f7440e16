// Command server is a guarded MCP server over stdio whose one tool does with its
// credentials what a handler may do and what it should not. It is run by the test of
// package leak, which scans everything that comes out of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/zalando/go-keyring"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/bindings"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func main() {
	file := flag.String("creds", "", "`file` of bindings")
	dir := flag.String("audit", "", "`folder` of the record")
	subject := flag.String("subject", "", "`file` with the caller's token")
	ring := flag.String("keyring", "", "`file` with what is in the keyring, service and user \"notes\"")
	child := flag.String("child", "", "be a child that reads this descriptor, says so and waits")
	flag.Parse()
	err := beChild(*child)
	if *child == "" {
		err = serve(*file, *dir, *subject, *ring)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func serve(file, dir, subject, ring string) error {
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
	if err := fillKeyring(ring); err != nil {
		return err
	}
	bound, err := bindings.Load(file)
	if err != nil {
		return err
	}
	in := creds.New(bound...)
	guard, err := mcpsec.New(in, audit.New(audit.Dir(dir), audit.Console(os.Stderr), audit.HeldSecrets(in.Held())))
	if err != nil {
		return err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "leak"}, &mcp.ServerOptions{Logger: log})
	// What a transport does with the token of a request it has verified.
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			token, err := os.ReadFile(subject)
			if err != nil {
				return nil, err
			}
			return next(creds.WithSubject(ctx, creds.NewValue(token)), method, req)
		}
	})
	if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "use"}, tool{log}.use); err != nil {
		return err
	}
	if err := guard.Install(server); err != nil {
		return err
	}
	peer := mcpsec.Peer{Process: "uid:" + strconv.Itoa(os.Getuid())}
	err = server.Run(context.Background(), guard.Transport(&mcp.StdioTransport{}, peer))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, guard.Close())
}

// fillKeyring replaces the keyring of the desktop by one in memory.
func fillKeyring(path string) error {
	secret, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	keyring.MockInit()
	return keyring.Set("notes", "notes", string(secret))
}
