package attest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// benchTool is a definition of about 1.1 KB on the wire.
func benchTool() *mcp.Tool { return sizedTool(700) }

func sizedTool(schema int) *mcp.Tool {
	open := true
	prop := `"p%02d":{"type":"string","description":"one of the things"},`
	var b strings.Builder
	b.WriteString(`{"type":"object","properties":{`)
	for i := 0; b.Len() < schema-40; i++ {
		fmt.Fprintf(&b, prop, i)
	}
	b.WriteString(`"last":{"type":"integer"}}}`)
	return &mcp.Tool{
		Name: "read_note", Title: "Read a note", Description: strings.Repeat("Reads a note. ", 14),
		InputSchema: json.RawMessage(b.String()), OutputSchema: json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"}}}`),
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: &open},
	}
}

func wireSize(b *testing.B, tool *mcp.Tool) int {
	b.Helper()
	raw, err := json.Marshal(tool)
	if err != nil {
		b.Fatal(err)
	}
	return len(raw)
}

// BenchmarkCheck compares, for one definition, the check of every call with the
// canonical digest it stands for.
func BenchmarkCheck(b *testing.B) {
	for _, schema := range []int{700, 3600, 16_000} {
		tool := sizedTool(schema)
		s, err := sealTool(tool)
		if err != nil {
			b.Fatal(err)
		}
		size := wireSize(b, tool)
		b.Run(fmt.Sprintf("framed %d B", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := s.check(tool); d != nil {
					b.Fatal(d)
				}
			}
		})
		b.Run(fmt.Sprintf("marshal+JCS+SHA-256 %d B", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d, err := Digest(tool); err != nil || d != s.wire {
					b.Fatal(d, err)
				}
			}
		})
	}
}

// BenchmarkCheckMeta has _meta, whose map is sorted anew for every call.
func BenchmarkCheckMeta(b *testing.B) {
	tool := benchTool()
	tool.Meta = mcp.Meta{"vendor/level": 2.0, "vendor/tags": []any{"a", "b"}, "flag": true}
	s, err := sealTool(tool)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if d := s.check(tool); d != nil {
			b.Fatal(d)
		}
	}
}

// BenchmarkWrap is what the control adds to a tool call.
func BenchmarkWrap(b *testing.B) {
	a, calls := sealedFor(b, 1)
	res := &mcp.CallToolResult{}
	h := a.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { return res, nil })
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h(ctx, calls[0]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList is what it adds to a list of twenty tools.
func BenchmarkList(b *testing.B) {
	a, calls := sealedFor(b, 20)
	list := &mcp.ListToolsResult{}
	for _, c := range calls {
		list.Tools = append(list.Tools, c.Tool.Definition)
	}
	h := a.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { return list, nil })
	ctx := context.Background()
	call := &mcpsec.Call{Method: "tools/list"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h(ctx, call); err != nil {
			b.Fatal(err)
		}
	}
}

func sealedFor(b *testing.B, n int) (*Attestor, []*mcpsec.Call) {
	b.Helper()
	inv := &mcpsec.Inventory{Server: &mcp.Implementation{Name: "bench"}}
	var calls []*mcpsec.Call
	for i := range n {
		tool := benchTool()
		tool.Name = fmt.Sprintf("tool_%02d", i)
		known := &mcpsec.Tool{Name: tool.Name, Definition: tool}
		inv.Tools = append(inv.Tools, known)
		calls = append(calls, &mcpsec.Call{Method: methodCallTool, Name: tool.Name, Tool: known})
	}
	p, err := Snapshot(inv)
	if err != nil {
		b.Fatal(err)
	}
	a := New(Pinned(p))
	if err := a.Seal(b.Context(), inv); err != nil {
		b.Fatal(err)
	}
	return a, calls
}
