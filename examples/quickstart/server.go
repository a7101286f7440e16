package main

import (
	"context"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/mcpsec/allowlist"
	"github.com/mcpsec/mcpsec-go/ratelimit"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
)

// serve is the server: the guard, the tools, and standard input and output.
func serve(ctx context.Context, dir layout) error {
	guard, err := mcpsec.New(
		audit.New(audit.Dir(dir.audit())),
		ratelimit.New(ratelimit.PerPrincipalAndTool(5, time.Minute)),
		allowlist.New(allowlist.Anyone().Tools("list_notes", "read_note", "write_note", "backup_notes", "share_notes", "check_updates")),
		attest.New(attest.Manifest(dir.manifest(), attest.Key(dir.release()))),
		creds.New(creds.ForTool("backup_notes", creds.Named("backup-key", creds.File(dir.key())))),
	)
	if err != nil {
		return err
	}
	server, err := newServer(guard, dir)
	if err != nil {
		return err
	}
	if err := guard.Install(server); err != nil {
		return err
	}
	defer guard.Close() //nolint:errcheck // the process ends; a record that cannot be taken has refused its call
	return stdio.Serve(ctx, guard, server)
}

// newServer is an ordinary go-sdk server. mcpsec.AddTool stands where mcp.AddTool
// stood.
func newServer(guard *mcpsec.Guard, dir layout) (*mcp.Server, error) {
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	n := notes{dir: dir.notes()}
	plugin := useDependency(server)
	for _, err := range []error{
		mcpsec.AddTool(guard, server, &mcp.Tool{Name: "list_notes", Description: "Lists the notes."}, n.list),
		mcpsec.AddTool(guard, server, &mcp.Tool{Name: "read_note", Description: "Reads a note."}, n.read),
		mcpsec.AddTool(guard, server, &mcp.Tool{Name: "write_note", Description: "Writes a note."}, n.write),
		mcpsec.AddTool(guard, server, &mcp.Tool{Name: "delete_note", Description: "Deletes a note."}, n.remove),
		mcpsec.AddTool(guard, server, &mcp.Tool{Name: "backup_notes", Description: "Seals all notes with the backup key."}, n.backup),
		mcpsec.AddTool(guard, server, &mcp.Tool{Name: "share_notes", Description: "Shares a note."}, n.share),
		mcpsec.AddTool(guard, server, &mcp.Tool{Name: "check_updates", Description: "Looks for updates."}, plugin.update),
	} {
		if err != nil {
			return nil, err
		}
	}
	return server, nil
}

// pin writes what a reviewer approves and signs: the digest of every definition and of
// this executable.
func pin(dir layout) error {
	guard, err := mcpsec.New(attest.Capture(func(m *manifest.Manifest) error { return attest.WriteFile(dir.statement(), m) }))
	if err != nil {
		return err
	}
	server, err := newServer(guard, dir)
	if err != nil {
		return err
	}
	return guard.Install(server)
}
