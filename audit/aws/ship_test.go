package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/ledger"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A guard's calls go through the ledger and the service's refusals, and what arrives
// is what stands in the ledger, byte for byte.
func TestALedgerIsShippedWhole(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{})
			r.server.Inject(r.operation, fakeaws.Throttle(), fakeaws.Partial(func(i int) string { return []string{"InternalFailure", ""}[i%2] }))
			dir := filepath.Join(t.TempDir(), "ledger")
			guard, err := mcpsec.New(audit.New(audit.Dir(dir), audit.Origin(testOrigin), audit.Ship("aws", r.destination, audit.Required())))
			must(t, err)
			handler, err := mcpsec.Wrap(guard, "tool", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return &mcp.CallToolResult{}, nil
			})
			must(t, err)
			for i := range 50 {
				_, err := handler(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{
					Name: "tool", Arguments: fmt.Appendf(nil, `{"line\r\n\u2028%d":1}`, i),
				}})
				must(t, err)
			}
			must(t, guard.Close())

			scan, err := ledger.Scan(dir, 0)
			must(t, err)
			defer scan.Close()
			var want []string
			for {
				l, err := scan.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				must(t, err)
				if l.Kind == ledger.Record {
					want = append(want, string(l.Text))
				}
			}
			var got []string
			checkpoints := 0
			for _, message := range r.received() {
				if strings.HasPrefix(message, `{"event":"checkpoint"`) {
					checkpoints++
					continue
				}
				got = append(got, message)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) || len(want) < 100 || checkpoints == 0 {
				t.Fatalf("%d of %d records, %d checkpoints", len(got), len(want), checkpoints)
			}
		})
	}
}
