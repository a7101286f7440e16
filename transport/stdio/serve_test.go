//go:build linux

package stdio_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
)

func TestServeToARealChildProcess(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), mode+"=serve")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	client, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	res, err := client.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	want := mcpsec.Principal{Rung: mcpsec.Process, Subject: fmt.Sprintf("uid:%d", os.Getuid())}.Key()
	if got := res.Content[0].(*mcp.TextContent).Text; got != want {
		t.Errorf("the principal is %s, want %s", got, want)
	}
	if err := client.Close(); err != nil {
		t.Errorf("the server did not end well: %v\n%s", err, stderr.String())
	}
}

func TestServeRefusesMisuse(t *testing.T) {
	t.Parallel()
	guard, err := mcpsec.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := stdio.Serve(t.Context(), nil, mcp.NewServer(&mcp.Implementation{Name: "x"}, nil)); err == nil {
		t.Error("served without a guard")
	}
	if err := stdio.Serve(t.Context(), guard, nil); err == nil {
		t.Error("served no server")
	}
	// A guard that is not installed guards nothing but the frame: Serve says so.
	if err := stdio.Serve(t.Context(), guard, mcp.NewServer(&mcp.Implementation{Name: "x"}, nil)); !errors.Is(err, mcpsec.ErrNotInstalled) {
		t.Errorf("served with a guard that is not installed: %v", err)
	}
}
