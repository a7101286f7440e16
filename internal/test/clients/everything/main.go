//go:build everything

// Command everything serves the conformance fixtures of the SDK behind the TLS listener,
// or bare behind crypto/tls to compare with.
//
// The fixtures are those of the SDK's own conformance server, taken at build time from the
// module in use, whose main function is renamed: the tests of package clients build the
// command with an overlay and the tag "everything". They are not copied here, so they
// always fit the SDK's version.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof" // the tests read the heap of the server
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var (
	bare   = flag.Bool("bare", false, "serve without the listener under test")
	anyone = flag.Bool("anyone", false, "ask for no client certificates, for tools that have none")
	dir    = flag.String("dir", "", "folder of ca.pem, server.pem, server.key and issuer.pem")
	issuer = flag.String("issuer", "", "issuer of access tokens, whose authority is issuer.pem")
)

func main() {
	flag.Parse()
	_ = sdkMain // its flags and fixtures are used, its listener is not
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	server := mcp.NewServer(&mcp.Implementation{Name: "mcp-conformance-test-server", Version: "1.0.0"}, &mcp.ServerOptions{
		CompletionHandler: completionHandler, SubscribeHandler: subscribeHandler, UnsubscribeHandler: unsubscribeHandler,
	})
	registerTools(server)
	registerResources(server)
	registerPrompts(server)
	go watchedResourceUpdater(ctx, server)

	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	serve := secured
	if *bare {
		serve = plain
	}
	if err := serve(ctx, ln, server); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// ready tells the test where the server is.
func ready(ln net.Listener) { fmt.Println("ready", ln.Addr()) }

func secured(ctx context.Context, ln net.Listener, server *mcp.Server) error {
	guard, err := mcpsec.New()
	if err != nil {
		return err
	}
	if err := guard.Install(server); err != nil {
		return err
	}
	certificates, err := pki.Files(filepath.Join(*dir, "server.pem"), filepath.Join(*dir, "server.key"))
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	config := https.Config{
		Guard: guard, Server: server, Certificates: certificates,
		Hosts:   []string{"localhost:" + port, "127.0.0.1:" + port},
		Origins: []string{"https://localhost:" + port}, Legacy: true, SSE: true,
	}
	if !*anyone {
		if config.Clients, err = pki.CAFile(filepath.Join(*dir, "ca.pem")); err != nil {
			return err
		}
	}
	if *issuer != "" {
		if config.Tokens, err = tokens("https://localhost:" + port); err != nil {
			return err
		}
	}
	s, err := https.New(config)
	if err != nil {
		return err
	}
	ready(ln)
	return s.Serve(ctx, ln)
}

func tokens(origin string) (https.Tokens, error) {
	roots, err := os.ReadFile(filepath.Join(*dir, "issuer.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	return bearer.New(bearer.Config{
		Issuers:  []bearer.Issuer{{URL: *issuer, Roots: pool, Private: true}},
		Audience: []string{origin + "/mcp", origin + "/sse"},
	})
}

// plain is what the SDK offers by itself: a router over both of its handlers, and SSE.
func plain(ctx context.Context, ln net.Listener, server *mcp.Server) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(*dir, "server.pem"), filepath.Join(*dir, "server.key"))
	if err != nil {
		return err
	}
	get := func(*http.Request) *mcp.Server { return server }
	sessions := mcp.NewStreamableHTTPHandler(get, nil)
	stateless := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{Stateless: true})
	mux := http.NewServeMux()
	mux.Handle("/sse", mcp.NewSSEHandler(get, nil))
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Protocol-Version") >= "2026-07-28" {
			stateless.ServeHTTP(w, r)
			return
		}
		sessions.ServeHTTP(w, r)
	})
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair},
	}}
	context.AfterFunc(ctx, func() { _ = web.Close() })
	ready(ln)
	return web.ServeTLS(ln, "", "")
}
