package bindings

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const canary = "hunter2-canary-b1d5"

// secretFile writes a file that only its owner may read.
func secretFile(tb testing.TB, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// file is a reference to such a file.
func file(tb testing.TB, content string) string {
	tb.Helper()
	return fmt.Sprintf(`{"file": {"path": %q}}`, secretFile(tb, content))
}

// injector decodes what must be right, and closes it with the test.
func injector(tb testing.TB, text string) *creds.Injector {
	tb.Helper()
	bound, err := Decode([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	in := creds.New(bound...)
	tb.Cleanup(func() {
		if err := in.Close(); err != nil {
			tb.Error(err)
		}
	})
	return in
}

const (
	role   = `"role": "arn:aws:iam::123456789012:role/notes", "region": "eu-central-1"`
	policy = `"sessionPolicy": {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject",
		"Resource": "arn:aws:s3:::notes/{{arg.folder | one-of drafts final}}/*"}}`
)

// everything has each base and each credential.
func everything(tb testing.TB) string {
	tb.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		tb.Fatal(err)
	}
	token := file(tb, canary)
	anywhere := "arn:aws:rolesanywhere:eu-central-1:123456789012:"
	store := filepath.Join(tb.TempDir(), "secrets.age")
	writeAge(tb, store, id)
	return `{
	"$schema": "./creds.schema.json",
	"bases": {
		"user": {"awsKeys": {"id": "AKIAQ3EGFAKEFAKEFAKE", "secret": {"age": {"base": "store", "name": "aws"}}}},
		"pod": {"awsWebIdentity": {` + role + `, "tokenFile": "/var/run/token", "audience": "sts.amazonaws.com"}},
		"host": {"awsRolesAnywhere": {"trustAnchor": "` + anywhere + `trust-anchor/0a0a0a0a-1111-2222-3333-444444444444",
			"profile": "` + anywhere + `profile/0b0b0b0b-1111-2222-3333-444444444444", "role": "arn:aws:iam::123456789012:role/host",
			"certificate": "/etc/tls.crt", "key": "/etc/tls.key", "duration": "1h"}},
		"vault": {"vault": {"addresses": ["https://vault.internal:8200"], "auth": {"appRole": {"roleId": "r", "secretId": ` + token + `}}}},
		"vault2": {"vault": {"addresses": ["https://vault.internal:8200"], "auth": {"jwt": {"role": "r", "token": ` + token + `}}}},
		"vault3": {"vault": {"addresses": ["https://vault.internal:8200"], "auth": {"token": {"source": ` + token + `}}}},
		"gcp": {"gcp": {"serviceAccount": "a@my-project.iam.gserviceaccount.com", "token": ` + token + `,
			"audience": "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/cluster"}},
		"azure": {"azure": {"tenant": "11111111-2222-3333-4444-555555555555", "clientId": "66666666-7777-8888-9999-000000000000", "token": ` + token + `}},
		"login": {"oauth": {"tokenUrl": "https://login.example/token", "clientId": "notes", "auth": {"clientSecret": {"source": ` + token + `}}}},
		"store": {"age": {"path": "` + store + `", "identity": ` + file(tb, id.String()) + `}}
	},
	"tools": {
		"list_notes": {
			"a": {"file": {"path": "` + secretFile(tb, canary) + `"}},
			"b": {"keyring": {"service": "notes", "user": "github"}},
			"c": {"age": {"base": "store", "name": "notes"}},
			"d": {"awsRole": {"base": "user", ` + role + `, ` + policy + `, "principalTags": {"who": "identity"}, "tags": {"team": "notes"}}},
			"e": {"awsSecret": {"base": "pod", "id": "prod/db", "region": "eu-central-1", "accounts": ["123456789012"], "field": "password", "poll": "1m"}},
			"f": {"awsParameter": {"base": "host", "name": "/prod/db", "region": "eu-central-1"}},
			"g": {"awsRole": {"tokenFile": "/var/run/token", "audience": "sts.amazonaws.com", ` + role + `, "unrestricted": true}},
			"h": {"vaultKV": {"base": "vault", "mount": "secret", "path": "apps/notes", "field": "key"}},
			"i": {"vaultLease": {"base": "vault2", "path": "database/creds/readonly", "perPrincipal": true}},
			"j": {"vaultKV": {"base": "vault3", "mount": "secret", "path": "apps/notes"}},
			"k": {"gcpToken": {"base": "gcp", "scopes": ["https://www.googleapis.com/auth/devstorage.read_only"],
				"boundary": [{"bucket": "reports", "prefix": "2026/", "permissions": ["inRole:roles/storage.objectViewer"]}]}},
			"l": {"gcpSecret": {"base": "gcp", "name": "projects/my-project/secrets/key/versions/7"}},
			"m": {"azureToken": {"base": "azure", "scope": "https://storage.azure.com/.default"}},
			"n": {"azureSecret": {"base": "azure", "vault": "my-vault", "name": "key"}},
			"o": {"oauthExchange": {"base": "login", "audience": ["https://calendar.example"], "scopes": ["read"], "maxLife": "10m"}},
			"p": {"oauthClient": {"base": "login", "scopes": ["read"]}}
		}
	}
}`
}

func writeAge(tb testing.TB, path string, to *age.X25519Identity) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	w, err := age.Encrypt(f, to.Recipient())
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := fmt.Fprintf(w, `{"aws": "%s-aws", "notes": "%s-notes"}`, canary, canary); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
}

func TestEveryKindIsUnderstoodAndChecked(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("reason: the paths of this file are those of Unix")
	}
	text := everything(t)
	in := injector(t, text)
	if err := in.Check(); err != nil {
		t.Fatal(err)
	}
	all, err := creds.Simulate(in, "list_notes", json.RawMessage(`{"folder": "drafts"}`), mcpsec.Principal{Rung: mcpsec.Token, Issuer: "https://idp.example", Subject: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	// Each kind of credential is in the test: a new one must be added to it.
	var doc document
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]bool)
	for _, g := range doc.Tools["list_notes"] {
		kind, _ := only[granter](&decoder{}, "", g)
		kinds[kind] = true
	}
	for _, b := range doc.Bases {
		kind, _ := only[opener](&decoder{}, "", b)
		kinds["base "+kind] = true
	}
	if len(kinds) != 14+8 {
		t.Errorf("%d kinds in the test: %v", len(kinds), kinds)
	}
	for _, d := range all {
		switch {
		case d.Name == "a" && d.Err == nil:
			t.Error("a file cannot tell what it opens")
		case d.Name == "o" && d.Err == nil:
			t.Error("an exchange without the caller's token")
		case d.Name == "d" && !strings.Contains(d.Access.Policy, `arn:aws:s3:::notes/drafts/*`):
			t.Errorf("policy %s, error %v", d.Access.Policy, d.Err)
		case d.Name != "a" && d.Name != "o" && d.Err != nil:
			t.Errorf("%s: %v", d.Name, d.Err)
		}
	}
	// What stands in files is read from there, by reference and directly.
	issued := make(map[string]string)
	for _, name := range []string{"notes", "aws"} {
		s, ok := opened(t, text).(interface {
			Secret(name string) creds.Provider
		})
		if !ok {
			t.Fatal("no age file")
		}
		m, err := s.Secret(name).Issue(t.Context(), creds.NewSpec(name, nil), creds.Request{})
		if err != nil {
			t.Fatal(err)
		}
		issued[name] = string(m.Secret.Reveal())
		m.Secret.Close()
	}
	if issued["notes"] != canary+"-notes" || issued["aws"] != canary+"-aws" {
		t.Errorf("%d secrets are not those of the file", len(issued))
	}
}

// opened returns the age file of the text.
func opened(t *testing.T, text string) any {
	t.Helper()
	var doc document
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	d := &decoder{}
	s := doc.Bases["store"].Age.open(d, "")
	if d.faults != nil {
		t.Fatal(d.faults)
	}
	return s
}

func TestKeysOfAUserFollowTheirRotation(t *testing.T) {
	t.Parallel()
	path := secretFile(t, "first")
	k := longLived{id: "AKIA", secret: creds.File(path)}
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := k.Retrieve(t.Context())
		if err != nil || c.SecretAccessKey != want || c.AccessKeyID != "AKIA" {
			t.Errorf("%v, and not the %s key", err, want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if c, err := k.Retrieve(t.Context()); err == nil {
		t.Errorf("keys %v of no file", c.HasKeys())
	}
}
