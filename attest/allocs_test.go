package attest

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// opaque is a handler that the compiler cannot look into, as every real one is: whatever it
// is given escapes.
var opaque mcpsec.Handler

// The whole of what a call costs allocates nothing, also with a long definition and an
// artifact.
func TestCheckedCallAllocatesNothing(t *testing.T) {
	if raceEnabled || runtime.GOOS != "linux" {
		t.Skip("reason: the race detector makes sync.Pool forget; files are held on Linux only")
	}
	res := &mcp.CallToolResult{}
	opaque = func(context.Context, *mcpsec.Call) (mcp.Result, error) { return res, nil }
	for _, schema := range []int{700, 15_600} {
		for _, file := range []benchFile{{}, {manifest.Snapshot, "model"}, {manifest.Watch, "model"}, {manifest.Watch, "a/b/c/model"}} {
			t.Run(fmt.Sprintf("schema %d B/%v", schema, file), func(t *testing.T) {
				a, calls := sealedFor(t, 3, schema, file)
				if s := a.seal.Load().tools[calls[1].Name]; (file.bind == manifest.Snapshot) != (len(s.files) == 1) || (file.bind == manifest.Watch) != (len(s.watches) == 1) {
					t.Fatalf("the tool has files %v and watches %v", s.files, s.watches)
				}
				h := a.Wrap(opaque)
				ctx := t.Context()
				if n := testing.AllocsPerRun(100, func() {
					if _, err := h(ctx, calls[1]); err != nil {
						t.Error(err)
					}
				}); n != 0 {
					t.Errorf("%v allocations", n)
				}
			})
		}
	}
}
