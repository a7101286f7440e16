package attest

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestFrameHasEveryMember fails when the SDK gives a definition a new member, which
// would otherwise go to clients unattested.
func TestFrameHasEveryMember(t *testing.T) {
	for _, known := range []struct {
		of     reflect.Type
		fields []string
	}{
		{reflect.TypeFor[mcp.Tool](), []string{"Meta", "Annotations", "Description", "InputSchema", "Name", "OutputSchema", "Title", "Icons"}},
		{reflect.TypeFor[mcp.ToolAnnotations](), []string{"DestructiveHint", "IdempotentHint", "OpenWorldHint", "ReadOnlyHint", "Title"}},
		{reflect.TypeFor[mcp.Icon](), []string{"Source", "MIMEType", "Sizes", "Theme"}},
		{reflect.TypeFor[mcp.Implementation](), []string{"Name", "Title", "Description", "Version", "WebsiteURL", "Icons"}},
	} {
		var fields []string
		for f := range known.of.Fields() {
			fields = append(fields, f.Name)
		}
		slices.Sort(fields)
		slices.Sort(known.fields)
		if !slices.Equal(fields, known.fields) {
			t.Errorf("%v has %v, the frame knows %v", known.of, fields, known.fields)
		}
	}
}

func frameOf(t *testing.T, tool *mcp.Tool) sum {
	t.Helper()
	s, err := sumTool(tool, arena{}, maxFrame)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFramesDiffer: moving bytes from one part into the next gives another frame.
func TestFramesDiffer(t *testing.T) {
	yes, no := true, false
	tools := []*mcp.Tool{
		{}, {Name: "ab"}, {Name: "a", Title: "b"}, {Title: "ab"}, {Description: "ab"},
		{InputSchema: json.RawMessage(nil)}, {InputSchema: json.RawMessage("null")}, {OutputSchema: json.RawMessage("null")}, {InputSchema: map[string]any{}},
		{InputSchema: []any{}},
		{Annotations: &mcp.ToolAnnotations{}}, {Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}}, {Annotations: &mcp.ToolAnnotations{IdempotentHint: true}},
		{Annotations: &mcp.ToolAnnotations{DestructiveHint: &yes}}, {Annotations: &mcp.ToolAnnotations{DestructiveHint: &no}},
		{Annotations: &mcp.ToolAnnotations{OpenWorldHint: &yes}}, {Annotations: &mcp.ToolAnnotations{OpenWorldHint: &no}},
		{Icons: []mcp.Icon{{}}}, {Icons: []mcp.Icon{{}, {}}}, {Icons: []mcp.Icon{{Sizes: []string{""}}}}, {Icons: []mcp.Icon{{Source: "a", MIMEType: "b"}}}, {Icons: []mcp.Icon{{Source: "ab"}}},
		{Meta: mcp.Meta{"a": nil}}, {Meta: mcp.Meta{"a": false}}, {Meta: mcp.Meta{"a": ""}}, {Meta: mcp.Meta{"a": 0.0}}, {Meta: mcp.Meta{"a": math.Copysign(0, -1)}},
		{Meta: mcp.Meta{"a": []any{}}}, {Meta: mcp.Meta{"a": map[string]any{}}}, {Meta: mcp.Meta{"a": []any{nil}}}, {Meta: mcp.Meta{"a": map[string]any{"b": nil}}},
		{Meta: mcp.Meta{"a": nil, "b": nil}}, {Meta: mcp.Meta{"a": []any{"b", "c"}}}, {Meta: mcp.Meta{"a": []any{[]any{"b"}, "c"}}}, {Meta: mcp.Meta{"a": []any{[]any{"b", "c"}}}},
	}
	seen := map[sum]int{}
	for i, tool := range tools {
		s := frameOf(t, tool)
		if twin, ok := seen[s]; ok {
			t.Errorf("%d and %d share a frame", i, twin)
		}
		seen[s] = i
	}
}

// TestFramesAgree: the order of a map does not count, in small maps and large.
func TestFramesAgree(t *testing.T) {
	build := func(n int) *mcp.Tool {
		m := mcp.Meta{}
		for i := range n {
			m[string(rune('a'+i))] = float64(i)
		}
		return &mcp.Tool{Name: "t", Meta: m}
	}
	for _, n := range []int{2, 16, 17, 60} {
		want := frameOf(t, build(n))
		for range 20 {
			if frameOf(t, build(n)) != want {
				t.Fatalf("%d members: another frame", n)
			}
		}
	}
}

func TestFrameLimit(t *testing.T) {
	tool := benchTool()
	s := frameOf(t, tool)
	if got, err := sumTool(tool, arena{}, s.size+frameSlack); err != nil || got != s {
		t.Errorf("at its own size: %v", err)
	}
	for limit := range s.size {
		if _, err := sumTool(tool, arena{}, limit); err == nil {
			t.Fatalf("fits into %d of %d bytes", limit, s.size)
		}
	}
	if _, err := sumTool(nil, arena{}, maxFrame); err == nil {
		t.Error("nil has a frame")
	}
}

func TestFramingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	tool := benchTool()
	s := frameOf(t, tool)
	if n := testing.AllocsPerRun(100, func() {
		if got, err := sumTool(tool, arena{}, s.size+frameSlack); err != nil || !equal(&got, &s) {
			t.Error("mismatch")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is nil goes out as null, which is not what is empty.
func TestNilIsNotEmpty(t *testing.T) {
	for empty, null := range map[any]any{
		&mcp.Tool{Meta: mcp.Meta{"a": map[string]any{}}}: &mcp.Tool{Meta: mcp.Meta{"a": map[string]any(nil)}},
		&mcp.Tool{Meta: mcp.Meta{"a": []any{}}}:          &mcp.Tool{Meta: mcp.Meta{"a": []any(nil)}},
	} {
		if frameOf(t, empty.(*mcp.Tool)) == frameOf(t, null.(*mcp.Tool)) {
			t.Error("one frame")
		}
	}
}
