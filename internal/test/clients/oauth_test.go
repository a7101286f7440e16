package clients

import (
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The whole of OAuth, with a certified identity provider and the TypeScript client: refused,
// discovered, authorized for this server alone, and served.
func TestOAuth(t *testing.T) {
	t.Parallel()
	npm(t, "oidc-provider/package.json")
	s := newSite(t)
	provider := exec.Command(npm(t, "node/bin/node"), beside(t, "provider.mjs"), s.path("server.pem"), s.path("server.key"))
	provider.Env = append(os.Environ(), "NODE_NO_WARNINGS=1")
	issuer, _ := run(t, provider)
	authority, err := os.ReadFile(s.path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("issuer.pem"), authority, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t, "-issuer", issuer)

	for _, kind := range []string{"plain", "certificate", "dpop"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			out, err := s.script(t, "oauth.mjs", kind, s.URL+"/mcp", issuer)
			if err != nil {
				t.Fatalf("%v: %s", err, tail(out))
			}
			way, token := told(out)
			want := []string{
				"POST /mcp 401", "GET /.well-known/oauth-protected-resource/mcp 200",
				"GET /.well-known/oauth-authorization-server 200", "POST /token 200", "POST /mcp 200",
			}
			if !subsequence(want, way) {
				t.Errorf("the client went %q, want %q", way, want)
			}
			if token == "" {
				t.Fatal("no token")
			}
			// Who steals the token is not alice and has none of her keys.
			code := s.present(t, s.Mallory, "Bearer "+token)
			if refused := code == http.StatusUnauthorized; refused == (kind == "plain") {
				t.Errorf("the stolen token is answered with %d", code)
			}
		})
	}
	t.Run("a token for another server", func(t *testing.T) {
		t.Parallel()
		out, err := s.script(t, "foreign.mjs", issuer, "https://other.example/mcp")
		_, token := told(out)
		if err != nil || token == "" {
			t.Fatalf("%v: %s", err, tail(out))
		}
		if code := s.present(t, s.TLS.Certificates[0], "Bearer "+token); code != http.StatusUnauthorized {
			t.Errorf("it is answered with %d", code)
		}
	})
}

// told reads what the scripts print.
func told(out string) (way []string, token string) {
	for line := range strings.Lines(out) {
		if step, ok := strings.CutPrefix(strings.TrimSpace(line), "way "); ok {
			way = append(way, step)
		}
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "token "); ok && value != "undefined" {
			token = value
		}
	}
	return way, token
}

func subsequence(want, have []string) bool {
	for _, step := range want {
		at := slices.Index(have, step)
		if at < 0 {
			return false
		}
		have = have[at+1:]
	}
	return true
}

// present sends a ping with a certificate and credentials, and returns the status.
func (s *site) present(tb testing.TB, certificate tls.Certificate, authorization string) int {
	tb.Helper()
	config := s.TLS.Clone()
	config.Certificates = []tls.Certificate{certificate}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, s.URL+"/mcp", strings.NewReader(discover))
	if err != nil {
		tb.Fatal(err)
	}
	modern(r)
	r.Header.Set("Authorization", authorization)
	res, err := transport.RoundTrip(r)
	if err != nil {
		tb.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// discover is a message of revision 2026-07-28.
const discover = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{` +
	`"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
	`"io.modelcontextprotocol/clientInfo":{"name":"clients","version":"1"},` +
	`"io.modelcontextprotocol/clientCapabilities":{}}}}`

// modern sets the headers of that revision for discover.
func modern(r *http.Request) {
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
	r.Header.Set("Mcp-Method", "server/discover")
}
