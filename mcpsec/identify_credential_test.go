package mcpsec

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// What hides a header from handlers is what this expression says, without what it costs.
func TestCredentialHeaders(t *testing.T) {
	t.Parallel()
	slow := regexp.MustCompile(`(?i)auth|cookie|token|jwt|assertion|secret|api-?key|credential|dpop|client-cert`)
	names := []string{
		"", "A", "Accept", "Content-Type", "User-Agent", "Mcp-Session-Id", "Traceparent", "X-Request-Id", "Toke", "Aut", "Api", "Apike", "Api--Key",
		"Client-Cer", "Authorization", "Proxy-Authorization", "X-Amzn-Oidc-Accesstoken", "X-Author", "aUTH", "Cookie2", "Set-Cookie", "X-Api-Key", "X-APIKEY",
		"Secret", "X-Client-Cert-Chain", "Dpop", "X-Jwt-Assertion", "Tokenless", "Aauth", "Ttoken", "Ccookie", "Cclient-Cert", "Ssecret", "[uth", "!UTH",
	}
	for _, word := range credentials {
		for cut := range len(word) {
			names = append(names, word[:cut]+"-"+word[cut:], "X-"+strings.ToUpper(word[cut:]), word[:cut]+strings.ToUpper(word[cut:])+"-Y")
		}
	}
	for _, name := range names {
		if got, want := isCredential(name), slow.MatchString(name); got != want {
			t.Errorf("%q: %v, the expression says %v", name, got, want)
		}
	}
	if !isCredential("X-To\u212aen") {
		t.Error("a name that is no header of HTTP was passed on")
	}
	for _, word := range credentials {
		if !strings.ContainsRune("acdjst", rune(word[0])) {
			t.Errorf("%q is never looked for: isCredential looks at names from another letter", word)
		}
	}
}

// A handler may write to what it gets: that is not to change what the SDK or another reads.
func TestHandlerHeaderIsACopy(t *testing.T) {
	t.Parallel()
	sent := http.Header{"Accept": {"a", "b"}, "X-Api-Key": {"k"}, "Mcp-Name": {"n"}, frameHeader: {"f"}, "X-One": {"1"}}
	got := handlerHeader(sent)
	if len(got) != 2 || len(got["Accept"]) != 2 {
		t.Fatalf("%v", got)
	}
	got["Accept"] = append(got["Accept"], "more")
	got["Accept"][0] = "changed"
	if sent["Accept"][0] != "a" || got["X-One"][0] != "1" {
		t.Errorf("sent %v, got %v", sent, got)
	}
}
