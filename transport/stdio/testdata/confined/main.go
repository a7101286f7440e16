// Command confined is a server that may read one file and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

type none struct{}

func main() {
	guard, err := mcpsec.New()
	if err != nil {
		log.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "confined", Version: "1"}, nil)
	err = mcpsec.AddTool(guard, server, &mcp.Tool{Name: "try"}, func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: try()}}}, nil, nil
	})
	if err := errors.Join(err, guard.Install(server)); err != nil {
		log.Fatal(err)
	}
	if err := stdio.Serve(context.Background(), guard, server, stdio.Confine(sandbox.ReadOnly(os.Args[1]))); err != nil {
		log.Fatal(err)
	}
}

func try() string {
	var said strings.Builder
	text, err := os.ReadFile(os.Args[1])
	fmt.Fprintf(&said, "readable: %s%s\n", text, why(err))
	_, err = os.ReadFile("/etc/passwd")
	fmt.Fprintf(&said, "/etc/passwd: %s\n", why(err))
	_, err = net.Dial("tcp", "127.0.0.1:9")
	fmt.Fprintf(&said, "dial: %s\n", why(err))
	fmt.Fprintf(&said, "exec: %s\n", why(exec.Command("/bin/true").Run()))
	return said.String()
}

func why(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EAFNOSUPPORT):
		return "permission denied"
	}
	return err.Error()
}
