//go:build linux

package stdio_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// BenchmarkPing is a round trip to the same server, plain and launched: the goal is at
// most 2 microseconds more.
func BenchmarkPing(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		cmd := exec.CommandContext(b.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), mode+"=serve")
		pings(b, &mcp.CommandTransport{Command: cmd})
	})
	b.Run("launched", func(b *testing.B) {
		l, _, _ := launch(b, "serve")
		pings(b, l)
	})
	b.Run("confined", func(b *testing.B) {
		path, err := os.Executable()
		must(b, err)
		pings(b, &stdio.Launch{
			Command: []string{path}, Artifact: stdio.Program{SHA256: self()}, Profile: sandbox.Profile{System: true},
			Env: []string{mode + "=serve"}, Events: func(stdio.Event) {},
		})
	})
}

func pings(b *testing.B, transport mcp.Transport) {
	b.Helper()
	s, err := connect(b, transport)
	must(b, err)
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Ping(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
