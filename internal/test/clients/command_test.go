package clients

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The inspector's command line, over both transports.
func TestInspector(t *testing.T) {
	t.Parallel()
	index := npm(t, "@modelcontextprotocol/inspector/clients/launcher/build/index.js")
	s := secured(t)
	for kind, path := range map[string]string{"http": "/mcp", "sse": "/sse"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			inspect := func(token string, args ...string) (string, error) {
				head := []string{"--import", beside(t, "mtls.mjs"), index, "--cli", "--transport", kind, "--server-url", s.URL + path}
				if token != "" {
					head = append(head, "--header", "Authorization: Bearer "+token)
				}
				return node(t, s, s.alice(t), append(head, args...)...)
			}
			out, err := inspect(s.Token, "--method", "tools/call", "--tool-name", "test_simple_text")
			if err != nil || !strings.Contains(out, "simple text response") {
				t.Errorf("tools/call: %v: %s", err, tail(out))
			}
			out, err = inspect(s.Token, "--method", "tools/list")
			if err != nil || !strings.Contains(out, "test_image_content") {
				t.Errorf("tools/list: %v: %s", err, tail(out))
			}
			if s.Token == "" {
				return
			}
			if out, err = inspect(forged(s.Token), "--method", "tools/list"); err == nil {
				t.Errorf("a forged token was taken: %s", tail(out))
			}
		})
	}
}

// mcp-remote, the bridge that clients without HTTP use, driven by the SDK's client.
func TestRemote(t *testing.T) {
	t.Parallel()
	proxy := npm(t, "mcp-remote/dist/proxy.js")
	s := secured(t)
	for kind, path := range map[string]string{"http-only": "/mcp", "sse-only": "/sse"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			args := []string{"--import", beside(t, "mtls.mjs"), proxy, s.URL + path, "--transport", kind}
			if s.Token != "" {
				args = append(args, "--header", "Authorization:Bearer "+s.Token)
			}
			cmd := exec.Command(npm(t, "node/bin/node"), args...)
			cmd.Env = append(append(os.Environ(), s.alice(t)...), "HOME="+t.TempDir(), "NODE_EXTRA_CA_CERTS="+s.path("ca.pem"))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cs, err := mcp.NewClient(&mcp.Implementation{Name: "remote", Version: "1"}, nil).Connect(ctx, &mcp.CommandTransport{Command: cmd}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer cs.Close()
			res, err := cs.CallTool(ctx, &mcp.CallToolParams{Name: "test_simple_text"})
			if err != nil || len(res.Content) != 1 {
				t.Errorf("tools/call: %v, %v", res, err)
			}
		})
	}
}
