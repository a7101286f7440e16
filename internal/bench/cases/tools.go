package cases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// The tools: each as a typed one, whose arguments the SDK decodes and checks, and
// as a raw one, around which the SDK does next to nothing.
const (
	toolEcho = "echo"
	toolSeal = "seal"
	rawEcho  = "raw-echo"
	rawSeal  = "raw-seal"
	keyName  = "seal-key"
	keySize  = 32
)

// tool returns the name of the tool that is called.
func (s *Server) tool(l Level) string {
	switch {
	case l == Direct && s.served.key:
		return rawSeal
	case l == Direct:
		return rawEcho
	case s.served.key:
		return toolSeal
	}
	return toolEcho
}

// note is what the tools take and return.
type note struct {
	Text  string `json:"text" jsonschema:"what the note says"`
	Title string `json:"title" jsonschema:"the note's title, as it appears in lists"`
}

var (
	hello     = note{Text: "hello", Title: "greeting"}
	rawSchema = json.RawMessage(`{"type":"object","properties":{` +
		`"text":{"type":"string","description":"what the note says"},` +
		`"title":{"type":"string","description":"the note's title, as it appears in lists"}},` +
		`"required":["text","title"],"additionalProperties":false}`)
)

// newServer makes a server with the tools, behind the guard if there is one.
func newServer(g *mcpsec.Guard, dir folder) (*mcp.Server, error) {
	s := mcp.NewServer(&mcp.Implementation{Name: "bench", Version: "1.0.0"}, nil)
	use := func(ctx context.Context) error { return useKey(ctx, g != nil, dir) }
	idle := func(context.Context) error { return nil }
	return s, errors.Join(
		addTyped(g, s, &mcp.Tool{Name: toolEcho, Description: "Returns the note."}, idle),
		addTyped(g, s, &mcp.Tool{Name: toolSeal, Description: "Returns the note after reading a key."}, use),
		addRaw(g, s, &mcp.Tool{Name: rawEcho, Description: "Returns the note.", InputSchema: rawSchema}, idle),
		addRaw(g, s, &mcp.Tool{Name: rawSeal, Description: "Returns the note after reading a key.", InputSchema: rawSchema}, use),
	)
}

// addTyped adds a tool that returns its arguments after some work.
func addTyped(g *mcpsec.Guard, s *mcp.Server, t *mcp.Tool, work func(context.Context) error) error {
	h := func(ctx context.Context, _ *mcp.CallToolRequest, in note) (*mcp.CallToolResult, note, error) {
		return nil, in, work(ctx)
	}
	if g == nil {
		mcp.AddTool(s, t, h)
		return nil
	}
	return mcpsec.AddTool(g, s, t, h)
}

func addRaw(g *mcpsec.Guard, s *mcp.Server, t *mcp.Tool, work func(context.Context) error) error {
	h := func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if err := work(ctx); err != nil {
			return nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{}, StructuredContent: req.Params.Arguments}, nil
	}
	if g != nil {
		var err error
		if h, err = mcpsec.Wrap(g, t.Name, h); err != nil {
			return err
		}
	}
	s.AddTool(t, h)
	return nil
}

// useKey reads the key as a handler does: through its credentials, or by itself.
func useKey(ctx context.Context, guarded bool, dir folder) error {
	var key []byte
	if guarded {
		secret, err := creds.Secret(ctx, keyName)
		if err != nil {
			return err
		}
		key = secret.Reveal()
	} else {
		var err error
		if key, err = os.ReadFile(dir.key()); err != nil {
			return err
		}
	}
	defer clear(key)
	if len(key) != keySize {
		return fmt.Errorf("a key of %d bytes", len(key))
	}
	return nil
}
