package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// What a guarded server records is what the commands show: nothing here is made up.
func TestCommandsReadWhatAGuardRecords(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "audit")
	guard, err := mcpsec.New(
		audit.New(audit.Dir(dir), audit.Origin("test/server")),
		ratelimit.New(ratelimit.PerPrincipal(3, time.Hour), ratelimit.Budget("$5/day"), ratelimit.Price("search", "$0.25")),
	)
	if err != nil {
		t.Fatal(err)
	}
	search, err := mcpsec.Wrap(guard, "search", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "found"}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for range 4 {
		if _, err := search(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "search"}}); err != nil {
			refused++
		}
	}
	if err := guard.Close(); err != nil || refused != 1 {
		t.Fatalf("%d refused, %v", refused, err)
	}

	if lines := runLines(t, "audit", "query", "--dir", dir, "--calls", "--decision", "allowed"); len(lines) != 1+3 || !strings.Contains(lines[1], "from=") {
		t.Errorf("allowed calls: %q", lines)
	}
	if lines := runLines(t, "audit", "tail", "--dir", dir, "--code", "ratelimit.*"); len(lines) != 1 || !strings.Contains(lines[0], "ratelimit.exceeded") {
		t.Errorf("refused calls: %q", lines)
	}
	var n reportNumbers
	if err := json.Unmarshal([]byte(strings.Join(runLines(t, "audit", "report", "--dir", dir, "--json"), "\n")), &n); err != nil {
		t.Fatal(err)
	}
	if n.Calls != 4 || n.Decisions[audit.Allowed] != 3 || n.Decisions[audit.Refused] != 1 || n.Spent["usd"] != 750_000 || !n.Verification.OK || n.Verification.Origin != "test/server" {
		t.Errorf("%+v", n)
	}
}
