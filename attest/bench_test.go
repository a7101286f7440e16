package attest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
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

// BenchmarkCheck compares, for one definition, the check of every call with what it stands
// for: the canonical digest of the definition, and the digest of the whole executable.
func BenchmarkCheck(b *testing.B) {
	for _, schema := range []int{700, 3600, 15_600} {
		tool := sizedTool(schema)
		s, err := sealTool(tool)
		if err != nil {
			b.Fatal(err)
		}
		size := wireSize(b, tool)
		b.Run(fmt.Sprintf("all bytes framed/%d B", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if f := s.check(tool); f != nil {
					b.Fatal(f)
				}
			}
		})
		if faults := moveTools(map[string]*sealedTool{s.name: s}); faults != nil {
			b.Fatal(faults)
		}
		b.Run(fmt.Sprintf("long parts sealed/%d B", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if f := s.check(tool); f != nil {
					b.Fatal(f)
				}
			}
		})
		b.Run(fmt.Sprintf("marshal+JCS+SHA-256/%d B", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d, err := Digest(tool); err != nil || d != s.digest {
					b.Fatal(d, err)
				}
			}
		})
	}
	b.Run("the executable's digest", func(b *testing.B) {
		path, err := image()
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			_, size, err := measureFile(b.Context(), path)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
		}
	})
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

// BenchmarkWrap is what the control adds to a tool call in all: definition, one artifact,
// expiry. The number of tools makes no difference, and the folders above a watched file do.
func BenchmarkWrap(b *testing.B) {
	for _, tools := range []int{1, 100} {
		for _, schema := range []int{700, 15_600} {
			for _, artifact := range []benchFile{{}, {manifest.Snapshot, "model"}, {manifest.Watch, "model"}, {manifest.Watch, "a/model"}, {manifest.Watch, "a/b/c/model"}} {
				b.Run(fmt.Sprintf("%d tools/schema %d B/%v", tools, schema, artifact), func(b *testing.B) {
					a, calls := sealedFor(b, tools, schema, artifact)
					res := &mcp.CallToolResult{}
					h := a.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { return res, nil })
					ctx := context.Background()
					b.ReportAllocs()
					i := 0
					for b.Loop() {
						if _, err := h(ctx, calls[i%len(calls)]); err != nil {
							b.Fatal(err)
						}
						i++
					}
				})
			}
		}
	}
}

// BenchmarkList is what it adds to a list of twenty tools.
func BenchmarkList(b *testing.B) {
	a, calls := sealedFor(b, 20, 700, benchFile{})
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

// A benchFile is the artifact that every tool uses; the zero one is none.
type benchFile struct {
	bind manifest.Bind
	path string
}

func (f benchFile) String() string {
	if f.bind == "" {
		return "no artifact"
	}
	return fmt.Sprintf("%s, %d folders deep", f.bind, strings.Count(f.path, "/"))
}

func sealedFor(tb testing.TB, n, schema int, file benchFile) (*Attestor, []*mcpsec.Call) {
	tb.Helper()
	inv := &mcpsec.Inventory{Server: &mcp.Implementation{Name: "bench"}}
	var calls []*mcpsec.Call
	for i := range n {
		tool := sizedTool(schema)
		tool.Name = fmt.Sprintf("tool_%02d", i)
		known := &mcpsec.Tool{Name: tool.Name, Definition: tool, Guarded: true}
		inv.Tools = append(inv.Tools, known)
		calls = append(calls, &mcpsec.Call{Method: methodCallTool, Name: tool.Name, Tool: known})
	}
	dir := tb.TempDir()
	var opts []SnapshotOption
	if file.bind != "" {
		path := filepath.Join(dir, file.path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("weights"), 0o600)); err != nil {
			tb.Fatal(err)
		}
		opts = append(opts, Files(dir, manifest.Artifact{Name: "model", Path: file.path, Bind: file.bind}))
		for _, t := range inv.Tools {
			opts = append(opts, Uses(t.Name, "model"))
		}
	}
	m, err := Snapshot(tb.Context(), inv, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	a := New(Pinned(m), Dir(dir))
	if err := errors.Join(a.Seal(tb.Context(), inv), a.Commit(tb.Context())); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = a.Close() })
	return a, calls
}
