package registry

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
)

const (
	base  = "https://registry.example.com"
	entry = `{"$schema":"https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json","name":"com.example/files","description":"Files","version":"1.2.0","packages":[
 {"registryType":"mcpb","identifier":"https://example.com/files.mcpb","version":"1.2.0","fileSha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","transport":{"type":"stdio"}},
 {"registryType":"oci","identifier":"docker.io/example/files@sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","transport":{"type":"stdio"}}],
 "remotes":[{"type":"streamable-http","url":"https://files.example.com/mcp"}]}`
)

var issued = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A publisher signs entries.
type publisher struct {
	key    envelope.Key
	signer envelope.Signer
}

func newPublisher(tb testing.TB) publisher {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := envelope.NewKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := envelope.SignWith(private)
	if err != nil {
		tb.Fatal(err)
	}
	return publisher{key, signer}
}

func (p publisher) sign(tb testing.TB, statement []byte) []byte {
	tb.Helper()
	bundle, err := p.signer.Sign(tb.Context(), payloadType, statement)
	if err != nil {
		tb.Fatal(err)
	}
	return bundle
}

func statementOf(tb testing.TB, registry, serverJSON string) []byte {
	tb.Helper()
	s, err := Statement(registry, []byte(serverJSON), issued)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (p publisher) policy() *Policy {
	return &Policy{
		Registries: map[string]Registry{base: {Trust: envelope.Keys(p.key), Digests: true, Namespaces: []string{"com.example"}}},
		now:        func() time.Time { return issued.Add(time.Hour) },
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	got, err := p.policy().Accept(t.Context(), Request{
		Registry: base, Name: "com.example/files", Version: "1.2.0", ServerJSON: []byte(entry),
		Bundle: p.sign(t, statementOf(t, base, entry)), Installed: &Release{Version: "1.1.9"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "com.example/files" || got.Version != "1.2.0" || len(got.Packages) != 2 || len(got.Remotes) != 1 ||
		len(got.Signers) != 1 || !got.IssuedAt.Equal(issued) {
		t.Errorf("%+v", got)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	p, other := newPublisher(t), newPublisher(t)
	sub := func(old, repl string) string {
		out := strings.Replace(entry, old, repl, 1)
		if out == entry {
			t.Fatalf("%q is not in the entry", old)
		}
		return out
	}
	const federated = "https://mirror.example.org"
	for _, test := range []struct {
		name   string
		change func(*Policy, *Request)
		says   string
	}{
		{"registry the policy does not name", func(_ *Policy, r *Request) { r.Registry = federated }, "does not name"},
		{"registry in another spelling", func(_ *Policy, r *Request) { r.Registry = base + "/" }, "does not name"},
		{"zero policy", func(q *Policy, _ *Request) { q.Registries = nil }, "does not name"},
		{"nobody trusted", func(q *Policy, _ *Request) { q.Registries = map[string]Registry{base: {}} }, "trusts nobody"},
		{"plain http", func(q *Policy, r *Request) {
			r.Registry = "http://registry.example.com"
			q.Registries[r.Registry] = q.Registries[base]
		}, "https"},
		{"digests demanded, and no packages", func(_ *Policy, r *Request) {
			remote := `{"name":"com.example/files","version":"1.2.0","remotes":[{"type":"streamable-http","url":"https://files.example.com/mcp"}]}`
			r.ServerJSON, r.Bundle = []byte(remote), p.sign(t, statementOf(t, base, remote))
		}, "remotes only"},
		{"no signature", func(_ *Policy, r *Request) { r.Bundle = nil }, ""},
		{"signed by somebody else", func(_ *Policy, r *Request) { r.Bundle = other.sign(t, statementOf(t, base, entry)) }, "no trusted signature"},
		{"signer of another federated registry", func(q *Policy, r *Request) {
			q.Registries[federated] = Registry{Trust: envelope.Keys(other.key)}
			r.Bundle = other.sign(t, statementOf(t, base, entry))
		}, "no trusted signature"},
		{"signed for another registry", func(_ *Policy, r *Request) { r.Bundle = p.sign(t, statementOf(t, federated, entry)) }, "another registry"},
		{"one byte changed", func(_ *Policy, r *Request) { r.ServerJSON = []byte(sub("Files", "Filet")) }, "not for these bytes"},
		{"white space added", func(_ *Policy, r *Request) { r.ServerJSON = []byte(entry + "\n") }, "not for these bytes"},
		{"another server than asked for", func(_ *Policy, r *Request) { r.Name = "com.example/mail" }, "another server"},
		{"no server asked for", func(_ *Policy, r *Request) { r.Name = "" }, "another server"},
		{"another version than asked for", func(_ *Policy, r *Request) { r.Version = "1.3.0" }, "not \"1.3.0\""},
		{"foreign namespace", func(q *Policy, _ *Request) {
			q.Registries[base] = Registry{Trust: envelope.Keys(p.key), Namespaces: []string{"com.example2", "com"}}
		}, "namespace"},
		{"downgrade", func(_ *Policy, r *Request) { r.Installed = &Release{Version: "1.10.0"} }, "not newer"},
		{"downgrade to a pre-release", func(_ *Policy, r *Request) { r.Installed = &Release{Version: "1.2.1-rc.1"} }, "not newer"},
		{"build metadata is no progress", func(_ *Policy, r *Request) { r.Installed = &Release{Version: "1.2.0+7"} }, "not newer"},
		{"no order", func(_ *Policy, r *Request) { r.Installed = &Release{Version: "2026.11.22.1"} }, "nobody can tell"},
		{"same version, other content", func(_ *Policy, r *Request) { r.Installed = &Release{Version: "1.2.0", SHA256: "x"} }, "another content"},
		{"log demanded", func(q *Policy, _ *Request) {
			q.Registries[base] = Registry{Trust: envelope.Keys(p.key), Log: true}
		}, "transparency log"},
		{"two signers demanded", func(q *Policy, _ *Request) {
			q.Registries[base] = Registry{Trust: envelope.Threshold(2, envelope.Keys(p.key, other.key))}
		}, "signers"},
		{"issued in the future", func(q *Policy, _ *Request) { q.now = func() time.Time { return issued.Add(-time.Hour) } }, "future"},
		{"key not alive then", func(q *Policy, _ *Request) {
			q.Registries[base] = Registry{Trust: envelope.Keys(p.key.Valid(issued.Add(time.Minute), time.Time{}))}
		}, "life of the key"},
		{"neg 8: a manifest for an entry", func(_ *Policy, r *Request) {
			s := strings.Replace(string(statementOf(t, base, entry)), "mcp-registry-entry", "mcp-manifest", 1)
			r.Bundle = p.sign(t, []byte(s))
		}, "predicateType"},
		{"neg 9: unknown member in the predicate", func(_ *Policy, r *Request) {
			s := strings.Replace(string(statementOf(t, base, entry)), `"registry":`, `"also":"x","registry":`, 1)
			r.Bundle = p.sign(t, []byte(s))
		}, "the signed statement"},
		{"neg 10: duplicate member in the statement", func(_ *Policy, r *Request) {
			s := strings.Replace(string(statementOf(t, base, entry)), `"name":"server.json"`, `"name":"server.json","name":"server.json"`, 1)
			r.Bundle = p.sign(t, []byte(s))
		}, "the signed statement"},
		{"neg 15: two subjects", func(_ *Policy, r *Request) {
			s := string(statementOf(t, base, entry))
			i := strings.Index(s, `"subject":[`) + len(`"subject":[`)
			r.Bundle = p.sign(t, []byte(s[:i]+`{"digest":{"sha256":"`+strings.Repeat("0", 64)+`"},"name":"x"},`+s[i:]))
		}, "subject"},
		{"package without digest", signedAnew(t, p, sub(`"registryType":"mcpb"`, `"registryType":"npm"`), `"fileSha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",`), "no digest"},
		{"image by tag", signedAnew(t, p, entry, `@sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824`), "no digest"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			policy := p.policy()
			r := Request{Registry: base, Name: "com.example/files", ServerJSON: []byte(entry), Bundle: p.sign(t, statementOf(t, base, entry))}
			test.change(policy, &r)
			got, err := policy.Accept(t.Context(), r)
			if !errors.Is(err, ErrRefused) || got != nil {
				t.Fatalf("accepted %+v, %v", got, err)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("does not say %q: %v", test.says, err)
			}
		})
	}
}

// signedAnew takes something out of an entry and signs the rest.
func signedAnew(t *testing.T, p publisher, from, without string) func(*Policy, *Request) {
	t.Helper()
	changed := strings.Replace(from, without, "", 1)
	bundle := p.sign(t, statementOf(t, base, changed))
	return func(_ *Policy, r *Request) { r.ServerJSON, r.Bundle = []byte(changed), bundle }
}

// A logged verifier says of each signature that it is in a log.
type logged struct{ envelope.Verifier }

func (l logged) Verify(ctx context.Context, bundle []byte) (*envelope.Verified, error) {
	v, err := l.Verifier.Verify(ctx, bundle)
	if err == nil {
		v.Log, v.Time = "log.example.com#7", issued
	}
	return v, err
}

func TestLogProof(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	policy := p.policy()
	policy.Registries[base] = Registry{Trust: logged{envelope.Keys(p.key)}, Log: true}
	got, err := policy.Accept(t.Context(), Request{
		Registry: base, Name: "com.example/files", ServerJSON: []byte(entry), Bundle: p.sign(t, statementOf(t, base, entry)),
	})
	if err != nil || len(got.Logs) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	bundle := p.sign(t, statementOf(t, base, entry))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.policy().Accept(ctx, Request{Registry: base, Name: "com.example/files", ServerJSON: []byte(entry), Bundle: bundle})
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}

func TestServerJSON(t *testing.T) {
	t.Parallel()
	const pkg = `{"registryType":"npm","identifier":"x","version":"1.0.0"}`
	doc := func(members string) string { return `{"name":"a.b/c","version":"1.0.0",` + members + `}` }
	for _, test := range []struct {
		name, text string
		ok         bool
	}{
		{"a package", doc(`"packages":[` + pkg + `]`), true},
		{"unknown members", doc(`"packages":[` + pkg + `],"_meta":{"x":1}`), true},
		{"nothing to run", doc(`"packages":[]`), false},
		{"duplicate", doc(`"packages":[` + pkg + `],"version":"9.9.9"`), false},
		{"duplicate, escaped", doc(`"packages":[` + pkg + `],"v\u0065rsion":"9.9.9"`), false},
		{"another case", doc(`"packages":[` + pkg + `],"Version":"9.9.9"`), false},
		{"another case in a package", doc(`"packages":[{"registryType":"npm","identifier":"x","FileSha256":"x"}]`), false},
		{"digest in upper case", doc(`"packages":[{"registryType":"npm","identifier":"x","fileSha256":"` + strings.Repeat("A", 64) + `"}]`), false},
		{"digest too short", doc(`"packages":[{"registryType":"npm","identifier":"x","fileSha256":"abcd"}]`), false},
		{"mcpb without digest", doc(`"packages":[{"registryType":"mcpb","identifier":"https://x"}]`), false},
		{"package without identifier", doc(`"packages":[{"registryType":"npm"}]`), false},
		{"package of a range", doc(`"packages":[{"registryType":"npm","identifier":"x","version":"^1.0.0"}]`), false},
		{"package of the latest", doc(`"packages":[{"registryType":"npm","identifier":"x","version":"latest"}]`), false},
		{"package of a wildcard", doc(`"packages":[{"registryType":"npm","identifier":"x","version":"1.x"}]`), false},
		{"remote over http", doc(`"remotes":[{"type":"sse","url":"http://x.example"}]`), false},
		{"remote with a password", doc(`"remotes":[{"type":"sse","url":"https://u:p@x.example"}]`), false},
		{"remote of another type", doc(`"remotes":[{"type":"stdio","url":"https://x.example"}]`), false},
		{"too many packages", doc(`"packages":[` + strings.Repeat(pkg+",", 64) + pkg + `]`), false},
		{"two slashes", `{"name":"a.b/c/d","version":"1.0.0","packages":[` + pkg + `]}`, false},
		{"no slash", `{"name":"c","version":"1.0.0","packages":[` + pkg + `]}`, false},
		{"no version", `{"name":"a.b/c","packages":[` + pkg + `]}`, false},
		{"name of the wrong type", `{"name":7,"version":"1.0.0","packages":[` + pkg + `]}`, false},
		{"null", `null`, false},
		{"an array", `[]`, false},
		{"nothing", ``, false},
		{"after the end", doc(`"packages":[`+pkg+`]`) + `{}`, false},
		{"too large", doc(`"packages":[` + pkg + `],"x":"` + strings.Repeat("x", MaxServerJSON) + `"`), false},
	} {
		if _, err := parse([]byte(test.text)); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestCheckFile(t *testing.T) {
	t.Parallel()
	content, err := parse([]byte(entry))
	if err != nil {
		t.Fatal(err)
	}
	e := &Entry{Name: "com.example/files", Packages: content.Packages}
	dir := t.TempDir()
	for name, text := range map[string]string{"good": "hello", "bad": "hellp", "empty": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := e.CheckFile(t.Context(), filepath.Join(dir, "good"))
	if err != nil || p.RegistryType != "mcpb" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, name := range []string{"bad", "empty"} {
		if _, err := e.CheckFile(t.Context(), filepath.Join(dir, name)); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "none"), os.DevNull} {
		if _, err := e.CheckFile(t.Context(), path); err == nil {
			t.Errorf("%s was accepted", path)
		}
	}
	e.Packages = content.Packages[1:] // the image, which has no file
	if _, err := e.CheckFile(t.Context(), filepath.Join(dir, "empty")); !errors.Is(err, ErrRefused) {
		t.Errorf("a package without digest: %v", err)
	}
}

func FuzzServerJSON(f *testing.F) {
	f.Add([]byte(entry))
	f.Add([]byte(`{"name":"a.b/c","version":"1.0.0","remotes":[{"type":"sse","url":"https://x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parse(data)
		if err != nil {
			return
		}
		if s.Name == "" || s.Version == "" || len(s.Packages)+len(s.Remotes) == 0 {
			t.Errorf("accepted %+v", s)
		}
		if _, err := decode(statementOf(t, base, string(data))); err != nil {
			t.Errorf("the statement of an accepted entry: %v", err)
		}
	})
}

// Of a registry's address there is one spelling, so that its trust is looked up under it.
func TestBaseURLHasOneSpelling(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://registry.example.com", "https://registry.example.com:8443/v0/mcp", "https://r"} {
		if err := checkBase(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "https://", "http://r", "HTTPS://r", "https://R", "https://r/", "https://r:443", "https://r:", "https://r:08443", "https://r.", "https://r?", "https://r#",
		"https://r/?x", "https://r/a/../b", "https://r/./a", "https://r//a", "https://r/%61", "https://u@r", "https://b\u00fccher.example", "https://r/\u00e4", "https://r/a b",
	} {
		if checkBase(bad) == nil {
			t.Errorf("%s has another spelling", bad)
		}
	}
}
