package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const secretReason = "reason-shown"

// refuser refuses each call of a tool with the kind the tool is named after.
func refuser(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		for _, k := range kinds {
			if call.Method == "tools/call" && call.Name == toolName(k) {
				return nil, mcpsec.Code{Name: "test.refused", Kind: k}.Deny(secretReason).After(time.Second)
			}
		}
		return next(ctx, call)
	}
}

func toolName(k mcpsec.Kind) string { return fmt.Sprintf("kind-%d", int(k)) }

// refusals returns a client of a server whose guard refuses everything.
func refusals(t *testing.T) *mcp.ClientSession {
	t.Helper()
	g, err := mcpsec.New(mcpsec.At(mcpsec.StageAllow, "refuser", mcpsec.ControlFunc(refuser)))
	if err != nil {
		t.Fatal(err)
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "server"}, nil)
	for _, k := range kinds {
		err := mcpsec.AddTool(g, s, &mcp.Tool{Name: toolName(k)}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return nil, nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Install(s); err != nil {
		t.Fatal(err)
	}
	near, far := mcp.NewInMemoryTransports()
	ss, err := s.Connect(t.Context(), g.Transport(far, mcpsec.Peer{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil).Connect(t.Context(), near, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cs.Close()
		_ = ss.Wait()
		_ = g.Close()
	})
	return cs
}

func TestWhatExplainSaysTheClientSeesIsWhatItSees(t *testing.T) {
	cs := refusals(t)
	for _, k := range kinds {
		says := kindOnWire(k)
		res, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: toolName(k)})
		if err == nil {
			text, _ := res.Content[0].(*mcp.TextContent)
			if !res.IsError || text == nil || text.Text != secretReason || !strings.Contains(says, "isError") {
				t.Errorf("%s: result %+v, explained as %q", k, res, says)
			}
			continue
		}
		var wire *jsonrpc.Error
		if !errors.As(err, &wire) {
			t.Fatalf("%s: %v", k, err)
		}
		if !strings.Contains(says, fmt.Sprint(wire.Code)) {
			t.Errorf("%s: error %d, explained as %q", k, wire.Code, says)
		}
		for said, member := range map[string]string{"callId": `"callId"`, "retryAfterMs": `"retryAfterMs"`} {
			promised := strings.Contains(says, said) && !strings.Contains(says, "without code")
			if got := strings.Contains(string(wire.Data), member); got != promised {
				t.Errorf("%s: data %s, explained as %q", k, wire.Data, says)
			}
		}
		if got := strings.Contains(wire.Message, secretReason); got != strings.Contains(says, "with the reason") {
			t.Errorf("%s: message %q, explained as %q", k, wire.Message, says)
		}
	}
}

// Kinds are numbered without gaps, so the first one without a name is the end.
func TestEveryKindIsExplained(t *testing.T) {
	t.Parallel()
	for k := mcpsec.Kind(0); !strings.HasPrefix(k.String(), "Kind("); k++ {
		if kindOnWire(k) == "" || int(k) >= len(kinds) || kinds[k] != k {
			t.Errorf("kind %v is not explained", k)
		}
	}
}

// Codes that look different on the wire than their kind must be real ones.
func TestExceptionsOnTheWireNameRealCodes(t *testing.T) {
	t.Parallel()
	names := strings.Join(codeNames(catalog()), " ")
	for _, name := range []string{"guard.missing_capability", "guard.rejected", "guard.probe"} {
		if !strings.Contains(names, name) {
			t.Errorf("there is no code %s", name)
		}
	}
}
