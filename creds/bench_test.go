package creds

import (
	"context"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// BenchmarkGetWarm is what a handler pays that asks again.
func BenchmarkGetWarm(b *testing.B) {
	err := run(b.Context(), Static([]byte("k")), nil, func(ctx context.Context) error {
		if err := secretOf(ctx); err != nil {
			return err
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Secret(ctx, "n"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func benchWrap(b *testing.B, handler mcpsec.Handler) {
	b.Helper()
	in := New(ForTool("t", Named("n", Static([]byte("k")))))
	h := in.Wrap(handler)
	call := &mcpsec.Call{Method: methodCallTool, Tool: &mcpsec.Tool{Name: "t"}}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h(ctx, call); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCallUnasked is what the control adds to a call that needs no secret.
func BenchmarkCallUnasked(b *testing.B) {
	res := &mcp.CallToolResult{}
	benchWrap(b, func(context.Context, *mcpsec.Call) (mcp.Result, error) { return res, nil })
}

// BenchmarkCallAsked is a call that asks once: the provider runs each time.
func BenchmarkCallAsked(b *testing.B) {
	res := &mcp.CallToolResult{}
	benchWrap(b, func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) { return res, secretOf(ctx) })
}
