package clients

import (
	"strings"
	"testing"
)

// The TypeScript clients of both generations, over each transport, with TLS 1.3, a client
// certificate and a token.
func TestTypeScript(t *testing.T) {
	t.Parallel()
	npm(t, "@modelcontextprotocol/client/package.json")
	s := secured(t)
	for _, c := range []struct{ generation, kind, path, revision string }{
		{"v1", "streamable", "/mcp", "2025-11-25"},
		{"v1", "sse", "/sse", ""},
		{"v2", "streamable", "/mcp", "2025-11-25"},
		{"v2", "sse", "/sse", ""},
		{"v2auto", "streamable", "/mcp", "2026-07-28"},
	} {
		t.Run(c.generation+" "+c.kind, func(t *testing.T) {
			t.Parallel()
			out, err := s.script(t, "session.mjs", c.generation, c.kind, s.URL+c.path)
			if err != nil || c.revision != "" && !strings.Contains(out, "revision "+c.revision) {
				t.Errorf("%v: %s", err, tail(out))
			}
		})
	}
}

// Who has no token, another's token or no certificate is told so, or cut, and the clients
// report it.
func TestTypeScriptRefused(t *testing.T) {
	t.Parallel()
	npm(t, "@modelcontextprotocol/client/package.json")
	s := secured(t)
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"a forged token":       {[]string{"CLIENTS_TOKEN=" + forged(s.Token)}, "401"},
		"no token":             {[]string{"CLIENTS_TOKEN="}, "401"},
		"no certificate":       {[]string{"CLIENTS_CERT="}, "fetch failed"},
		"an unknown authority": {[]string{"CLIENTS_CA="}, "fetch failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := c.env
			if name == "an unknown authority" {
				env = append(env, "NODE_EXTRA_CA_CERTS=")
			}
			out, err := s.scriptEnv(t, env, "session.mjs", "v1", "streamable", s.URL+"/mcp")
			if err == nil || !strings.Contains(out, c.want) && !strings.Contains(out, "Unauthorized") {
				t.Errorf("%v, want a failure that says %q: %s", err, c.want, tail(out))
			}
		})
	}
}

// forged changes the signature of a token.
func forged(token string) string {
	if token == "" {
		return "forged"
	}
	head := token[:strings.LastIndexByte(token, '.')+1]
	return head + strings.Repeat("A", len(token)-len(head))
}
