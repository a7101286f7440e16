package vault

import (
	"strings"
	"testing"
)

// A login that is refused is no matter of policies.
func TestRefusedLoginNamesTheRightRemedy(t *testing.T) {
	t.Parallel()
	f := newFake()
	for name, auth := range map[string]Auth{
		"JWT":   JWT{Mount: "kubernetes", Role: "files", Token: secret("other.jwt.sig")},
		"token": Token{secret("s.revoked")},
	} {
		_, _, err := issue(t, newServer(t, auth, f).KV(KV{Mount: "secret", Path: "apps/db"}))
		if err == nil || strings.Contains(err.Error(), "the policies of the login must allow this path") {
			t.Errorf("%s: the remedy sends the operator to the policies: %v", name, err)
		}
	}
}

// A word in a path is no state of the server.
func TestPathIsNoState(t *testing.T) {
	t.Parallel()
	if code := refusal([]byte(`{"errors":["no handler for route \"kv/sealed-notes/data/a\". route entry not found."]}`)); code != "no_such_mount" {
		t.Errorf("code %q", code)
	}
	for _, text := range []string{"Vault is sealed", "Vault is sealed\n", "error during sealed check: Vault is sealed"} {
		if code := refusal([]byte(`{"errors":["` + strings.ReplaceAll(text, "\n", `\n`) + `"]}`)); code != "sealed" {
			t.Errorf("%q: code %q", text, code)
		}
	}
}
