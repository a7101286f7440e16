package attest

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Whatever replaces a part that lies in sealed memory is seen, whether its bytes are the
// same or not, and also if it is another piece of the same memory.
func TestPartsInSealedMemory(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("reason: memory is sealed on Linux only")
	}
	for attack, change := range map[string]func(*mcp.Tool){
		"neg 42: another text": func(d *mcp.Tool) { d.Description = strings.Repeat("x", len(d.Description)) },
		"one character":        func(d *mcp.Tool) { d.Description = "R" + d.Description[1:len(d.Description)-1] + "!" },
		"a shorter piece":      func(d *mcp.Tool) { d.Description = d.Description[:len(d.Description)-1] },
		"a later piece":        func(d *mcp.Tool) { d.Description = d.Description[1:] },
		"neg 43: another schema": func(d *mcp.Tool) {
			d.InputSchema = bytes.Replace(d.InputSchema.(json.RawMessage), []byte("one"), []byte("all"), 1)
		},
		"neg 43: a piece of the schema": func(d *mcp.Tool) { d.InputSchema = d.InputSchema.(json.RawMessage)[:300] },
		"neg 43: a schema of a map":     func(d *mcp.Tool) { d.InputSchema = map[string]any{"type": "object"} },
		"schemas swapped":               func(d *mcp.Tool) { d.InputSchema, d.OutputSchema = d.OutputSchema, d.InputSchema },
		"the text as the title":         func(d *mcp.Tool) { d.Title, d.Description = d.Description, d.Title },
		"the schema's bytes as the text": func(d *mcp.Tool) {
			raw := d.InputSchema.(json.RawMessage)
			d.Description = unsafe.String(&raw[0], len(raw))
		},
		"an icon":                func(d *mcp.Tool) { d.Icons[0].Source += "x" },
		"a short part, in place": func(d *mcp.Tool) { d.Icons[0].Sizes[0] = "1x1" },
		"grown without bound":    func(d *mcp.Tool) { d.Description = strings.Repeat("x", 8<<20) },
	} {
		tool := sizedTool(4000)
		tool.Icons = []mcp.Icon{{Source: "data:image/png;base64," + strings.Repeat("A", 400), Sizes: []string{"48x48"}}}
		tool.Description = strings.Repeat("Reads a note. ", 30)
		want, err := json.Marshal(tool)
		if err != nil {
			t.Fatal(err)
		}
		s, err := sealTool(tool)
		if err != nil {
			t.Fatal(err)
		}
		if faults := moveTools(map[string]*sealedTool{"t": s}); faults != nil {
			t.Fatal(faults)
		}
		if s.now == s.whole || s.now.size > 200 {
			t.Fatalf("nothing was moved: %d bytes are framed", s.now.size)
		}
		if got, err := json.Marshal(tool); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("moving changed the definition: %s", got)
		}
		if f := s.check(tool); f != nil {
			t.Fatalf("before: %v", f)
		}
		if f := s.checkListed(tool); f != nil {
			t.Fatalf("listed before: %v", f)
		}
		change(tool)
		if f := s.check(tool); f == nil {
			t.Errorf("%s was not seen", attack)
		}
	}
}

// A part that changes between sealing and moving is found.
func TestChangedWhileMoved(t *testing.T) {
	t.Parallel()
	tool := sizedTool(4000)
	s, err := sealTool(tool)
	if err != nil {
		t.Fatal(err)
	}
	tool.Description = strings.Repeat("y", 600)
	if faults := moveTools(map[string]*sealedTool{"t": s}); faults == nil && runtime.GOOS == "linux" {
		t.Error("moved all the same")
	}
	if f := s.check(tool); f == nil {
		t.Error("passed")
	}
}
