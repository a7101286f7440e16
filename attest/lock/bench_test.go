package lock

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkCall is what pinning adds to one tools/call, both ways: mostly a stat of the
// lock file.
func BenchmarkCall(b *testing.B) {
	g := benchGate(b, 1)
	req := request(b, 1, "tools/call", `{"name":"t0","arguments":{"path":"x"}}`)
	resp := answer(b, 1, `{"content":[{"type":"text","text":"ran"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := g.outgoing(b.Context(), req); err != nil {
			b.Fatal(err)
		}
		g.incoming(b.Context(), resp)
	}
}

// BenchmarkList is a page of definitions of about 1 KB each.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{1, 20, 100} {
		b.Run(fmt.Sprintf("%d tools", n), func(b *testing.B) {
			g := benchGate(b, n)
			req, resp := request(b, 1, "tools/list", `{}`), answer(b, 1, benchList(n))
			b.ReportAllocs()
			for b.Loop() {
				if err := g.outgoing(b.Context(), req); err != nil {
					b.Fatal(err)
				}
				g.incoming(b.Context(), resp)
			}
		})
	}
}

func benchList(n int) string {
	tools := make([]string, n)
	for i := range tools {
		tools[i] = fmt.Sprintf(`{"name":"t%d","description":%q,"inputSchema":%s}`, i, strings.Repeat("reads a file ", 70), schema)
	}
	return `{"tools":[` + strings.Join(tools, ",") + `]}`
}

// benchGate returns a gate behind which a server of n tools is pinned.
func benchGate(b *testing.B, n int) *gate {
	b.Helper()
	path := filepath.Join(b.TempDir(), "mcpsec.lock")
	g := newGate(&pins{
		server: "files", firstUse: true, log: slog.New(slog.DiscardHandler), now: time.Now,
		approved: approvedIn(path), pending: pendingIn(path), next: make(map[Kind]string), seen: make(map[Kind]map[string]string),
	})
	for _, step := range [][2]string{{"initialize", identityResult}, {"tools/list", benchList(n)}} {
		if err := g.outgoing(b.Context(), request(b, 0, step[0], `{}`)); err != nil {
			b.Fatal(err)
		}
		g.incoming(b.Context(), answer(b, 0, step[1]))
	}
	if d := g.judge.use(Tool, fmt.Sprintf("t%d", n-1)); d != nil {
		b.Fatal(d)
	}
	return g
}
