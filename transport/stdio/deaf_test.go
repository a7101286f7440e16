//go:build linux

package stdio_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A server that stops reading must not hold a call beyond its deadline.
func TestAServerThatDoesNotReadHoldsNoCall(t *testing.T) {
	t.Parallel()
	l, _, _ := launch(t, "deaf")
	l.Grace = 200 * time.Millisecond
	s, err := connect(t, l)
	if err != nil {
		t.Fatalf("%v\n%s", err, l.Stderr())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	called, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "x", Arguments: map[string]any{"x": strings.Repeat("x", 1<<20)}})
		called <- err
	}()
	select {
	case err := <-called:
		if err == nil {
			t.Error("answered")
		}
	case <-time.After(patience):
		t.Error("the call is held beyond its deadline")
	}
	go func() { closed <- s.Close() }()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("Close is held as well")
	}
}
