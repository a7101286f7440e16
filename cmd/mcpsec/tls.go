package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/transport/https/pki"
)

const tlsHelp = `Work with the certificates of the TLS listener.`

func newTLS(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tls",
		Short:   "Show clients how to reach a server that runs with a development certificate",
		Long:    tlsHelp,
		Example: `  mcpsec tls dev`,
	}
	cmd.AddCommand(newTLSDev(a))
	return cmd
}

const tlsDevHelp = `Print what a client on this machine needs to reach a server that runs with the
development certificate: the authority's certificate, its fingerprint, and how curl,
clients on Node.js and clients in Go are told of it.

The authority is the one that a server without certificates of its own makes on first
start, in the folder mcpsec/development of your configuration; it is made if it is not
there. It can speak for the loopback names alone. With --client it also issues a client
certificate under that name, for servers that want one.

Members with --json: ca, directory, certificate and key (of the client; empty without
--client), text.`

// A devAuthority is what tls dev prints; its members are those of the JSON form.
type devAuthority struct {
	CA          string `json:"ca"`
	Directory   string `json:"directory"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	Text        string `json:"text"`
}

func newTLSDev(a *app) *cobra.Command {
	var dir, url, client string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Print what a client needs to trust the development certificate",
		Long:  tlsDevHelp,
		Example: `  mcpsec tls dev
  mcpsec tls dev --url https://localhost:9443/mcp --client laptop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			local, err := pki.Development(dir)
			if err != nil {
				return err
			}
			out := devAuthority{CA: local.CA(), Directory: filepath.Dir(local.CA())}
			if client != "" {
				if out.Certificate, out.Key, err = local.IssueClient(client); err != nil {
					return err
				}
			}
			out.Text = local.Describe(url, client)
			return a.emit(cmd, out, out.Text)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder of the authority, if the server was given another")
	cmd.Flags().StringVar(&url, "url", "https://localhost:8443/mcp", "the server's endpoint, for the examples")
	cmd.Flags().StringVar(&client, "client", "", "issue a client certificate with this name")
	return cmd
}
