package attest_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A server for each session, made of one definition: the next one leaves the first alone.
func TestTwoServersOfOneDefinition(t *testing.T) {
	for name, add := range map[string]func(*mcp.Server, *mcp.Tool){
		"mcp.AddTool": func(s *mcp.Server, tool *mcp.Tool) { mcp.AddTool(s, tool, readNote) },
		"Server.AddTool": func(s *mcp.Server, tool *mcp.Tool) {
			s.AddTool(tool, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return &mcp.CallToolResult{}, nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			tool := noteTool()
			tool.Icons[0].Source = "data:image/png;base64," + strings.Repeat("A", 400)
			tool.InputSchema = map[string]any{"type": "object"}
			var m *manifest.Manifest
			mk := func(c mcpsec.Control) *lab {
				l := newLab(t, "", c)
				add(l.server, tool)
				if err := l.guard.Install(l.server); err != nil {
					t.Fatal(err)
				}
				return l
			}
			mk(attest.Capture(func(x *manifest.Manifest) error { m = x; return nil }))
			one := mk(attest.New(attest.Pinned(m)))
			cs := one.connect()
			if err := call(t, cs, "read_note"); err != nil {
				t.Fatal(err)
			}
			mk(attest.New(attest.Pinned(m))) // the next session
			if err := call(t, cs, "read_note"); err != nil {
				t.Errorf("the first server went out of service: %v %+v", err, one.lastDenial())
			}
		})
	}
}

func mappings(t *testing.T, name string) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skipf("reason: mappings are not shown here: %v", err)
	}
	return strings.Count(string(raw), name)
}

// Servers of one definition share its sealed memory.
func TestDefinitionsOfManyServers(t *testing.T) {
	tool := noteTool()
	tool.Description = strings.Repeat("Reads one note. ", 40)
	m := pins(t, "", tool)
	before := mappings(t, "mcpsec-definitions")
	for range 50 {
		t.Run("", func(t *testing.T) { newLab(t, "", attest.New(attest.Pinned(m))).add(tool).install() })
	}
	if n := mappings(t, "mcpsec-definitions") - before; n > 1 {
		t.Errorf("%d mappings are left of 50 servers that were closed", n)
	}
}
