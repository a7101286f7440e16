package mcpsecgo_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/mcpsec/allowlist"
	"github.com/mcpsec/mcpsec-go/ratelimit"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
)

type note struct {
	Name string `json:"name"`
}

func readNote(ctx context.Context, _ *mcp.CallToolRequest, in note) (*mcp.CallToolResult, note, error) {
	_, err := creds.Secret(ctx, "store")
	return nil, in, err
}

// wiring is what README.md shows. It is compiled here and runs in
// examples/quickstart, which has the same lines with files of its own.
func wiring(ctx context.Context) {
	guard, err := mcpsec.New(
		audit.New(audit.Dir("audit")),
		ratelimit.New(ratelimit.PerPrincipalAndTool(60, time.Minute)),
		allowlist.New(allowlist.Anyone().Tools("read_note")),
		attest.New(attest.Manifest("manifest.sigstore.json", attest.Key("release.pub"))),
		creds.New(creds.ForTool("read_note", creds.Named("store", creds.File("store.key")))),
	)
	if err != nil {
		log.Fatal(err) // every fault at once
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	mcpsec.AddTool(guard, server, &mcp.Tool{Name: "read_note"}, readNote) // was mcp.AddTool
	if err := guard.Install(server); err != nil {
		log.Fatal(err)
	}
	err = stdio.Serve(ctx, guard, server) // was server.Run(ctx, &mcp.StdioTransport{})
	if err != nil {
		log.Fatal(err)
	}
}

var _ = wiring

// A guard without controls already contains panics, seals the set of tools and
// refuses what two JSON readers read differently.
func Example() {
	guard, err := mcpsec.New()
	if err != nil {
		log.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	boom := func(context.Context, *mcp.CallToolRequest, note) (*mcp.CallToolResult, note, error) { panic("boom") }
	if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "boom"}, boom); err != nil {
		log.Fatal(err)
	}
	if err := guard.Install(server); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	near, far := mcp.NewInMemoryTransports()
	session, err := server.Connect(ctx, guard.Transport(far, mcpsec.Peer{}), nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil).Connect(ctx, near, nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.CallTool(ctx, &mcp.CallToolParams{Name: "boom", Arguments: note{"x"}})
	fmt.Println(err)
	tools, err := client.ListTools(ctx, nil)
	fmt.Println(len(tools.Tools), err)
	_ = client.Close()
	_ = session.Wait()
	// Output:
	// calling "tools/call": internal error
	// 1 <nil>
}
