package mcpsecgo_test

import (
	"context"
	"log"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// What README.md and the documents below docs show of the transports. It is compiled
// here; the packages' own tests run the same.

func listen(ctx context.Context, guard *mcpsec.Guard, server *mcp.Server) error {
	certificates, err := pki.Files("server.pem", "server.key")
	if err != nil {
		return err
	}
	clients, err := pki.CAFile("clients.pem")
	if err != nil {
		return err
	}
	tokens, err := bearer.New(bearer.Config{
		Issuers:  []bearer.Issuer{{URL: "https://login.example.com"}},
		Audience: []string{"https://mcp.example.com/mcp"},
		Scopes:   map[string][]string{"tools/call delete_*": {"notes:write"}},
	})
	if err != nil {
		return err
	}
	return https.ListenAndServe(ctx, ":443", https.Config{
		Guard: guard, Server: server,
		Certificates: certificates, // read again when the files change
		Clients:      clients,      // mutual TLS
		Tokens:       tokens,       // and a token: both belong to one principal
		Hosts:        []string{"mcp.example.com"},
		Subject:      creds.Subject, // for providers that exchange the caller's token
	})
}

func call(ctx context.Context, client *mcp.Client) error {
	cas, err := pki.CAFile("servers.pem")
	if err != nil {
		return err
	}
	own, err := pki.Files("client.pem", "client.key")
	if err != nil {
		return err
	}
	c, err := https.NewClient(https.ClientConfig{CAs: cas, Certificate: own}) //nolint:contextcheck // it outlives the call that makes it
	if err != nil {
		return err
	}
	session, err := client.Connect(ctx, c.Transport("https://mcp.example.com/mcp"), nil)
	if err != nil {
		return err
	}
	return session.Close()
}

func launch(ctx context.Context, client *mcp.Client) error {
	weather := &stdio.Launch{
		Command:  []string{"/opt/weather/weather-mcp"},
		Artifact: stdio.Program{SHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		Profile:  sandbox.Profile{Egress: []string{"api.weather.gov"}},
	}
	session, err := client.Connect(ctx, weather, nil) // fails closed
	if err != nil {
		return err
	}
	log.Print(weather.Report().Tier)
	return session.Close()
}

func confine(ctx context.Context, guard *mcpsec.Guard, server *mcp.Server) error {
	return stdio.Serve(ctx, guard, server, stdio.Confine(sandbox.ReadOnly("/srv/notes")))
}

var _, _, _, _ = listen, call, launch, confine
