package stdio_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
)

// TestMain lets the test binary be a server on standard input and output.
func TestMain(m *testing.M) {
	if os.Getenv("MCPSEC_TEST_SERVE") != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

type none struct{}

// serve offers a tool that tells its caller's principal, seen by a control.
func serve() error {
	type key struct{}
	tell := mcpsec.At(mcpsec.StageInspect, "tell", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			return next(context.WithValue(ctx, key{}, call.Principal.Key()), call)
		}
	}))
	guard, err := mcpsec.New(tell)
	if err != nil {
		return err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "whoami", Version: "1"}, nil)
	who := func(ctx context.Context, _ *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: ctx.Value(key{}).(string)}}}, nil, nil
	}
	if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: "whoami"}, who); err != nil {
		return err
	}
	if err := guard.Install(server); err != nil {
		return err
	}
	return stdio.Serve(context.Background(), guard, server)
}

func TestServeToARealChildProcess(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "MCPSEC_TEST_SERVE=1")
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

func ExamplePeer() {
	fmt.Println(strings.HasPrefix(stdio.Peer().Process, "uid:"))
	// Output: true
}

func ExampleServe() {
	guard, _ := mcpsec.New()
	server := mcp.NewServer(&mcp.Implementation{Name: "notes"}, nil)
	fmt.Println(stdio.Serve(context.Background(), guard, server))
	// Output: stdio: mcpsec: the guard is not installed on this server
}
