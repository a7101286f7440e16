package clients

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The official conformance suite: nothing that passes on the SDK alone may fail behind the
// listener, with TLS 1.3, a client certificate and a token.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, suite := range []struct {
		pkg, revision string
		args          []string
		passes        int
	}{
		{"conformance11", "2025-11-25", nil, 40},
		{"@modelcontextprotocol/conformance", "2025-11-25", []string{"--suite", "all"}, 82},
		// The SDK alone has 153. Three are warnings here, on purpose. Twice the guard refuses
		// answers to questions that it knows nothing of, where a server SHOULD ask again or
		// ignore them (SEP-2322), since approvals could be forged otherwise. And a tool that is
		// added while the server runs is not among those that were sealed: it is neither
		// listed nor callable, so there is no change of the list to tell.
		{"@modelcontextprotocol/conformance", "2026-07-28", []string{"--suite", "all"}, 150},
	} {
		t.Run(fmt.Sprint(suite.pkg, "@", suite.revision), func(t *testing.T) {
			t.Parallel()
			index := npm(t, suite.pkg+"/dist/index.js")
			judge := func(t *testing.T, s *site) {
				t.Helper()
				args := append([]string{index, "server", "--url", s.forward(t) + "/mcp", "--spec-version", suite.revision}, suite.args...)
				out, err := node(t, s, nil, args...)
				passed, failed := tally(out)
				if err != nil || failed != 0 || passed < suite.passes {
					t.Errorf("%d passed, %d failed, want %d and none: %v\n%s", passed, failed, suite.passes, err, complaints(out))
				}
				t.Logf("%d checks passed", passed)
			}
			if *whole {
				t.Run("bare", func(t *testing.T) { judge(t, bare(t)) })
			}
			t.Run("listener", func(t *testing.T) { judge(t, secured(t)) })
		})
	}
}

var totals = regexp.MustCompile(`Total: (\d+) passed, (\d+) failed`)

// tally reads the suite's own count.
func tally(out string) (passed, failed int) {
	m := totals.FindStringSubmatch(out)
	if m == nil {
		return 0, -1
	}
	passed, _ = strconv.Atoi(m[1])
	failed, _ = strconv.Atoi(m[2])
	return passed, failed
}

// complaints are the lines about what failed.
func complaints(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if strings.Contains(line, "✗") || strings.Contains(line, "FAIL") || strings.Contains(line, "rror") {
			b.WriteString(line)
		}
	}
	if b.Len() == 0 {
		return tail(out)
	}
	return tail(b.String())
}
