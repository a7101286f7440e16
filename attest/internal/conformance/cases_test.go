package conformance

import (
	"slices"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/mcpsec/mcpsec-go/attest/sigstore"
)

// A keylessCase is a bundle of a lab, whom is trusted, and the verdict of every
// verifier. Numbers are those of the list of attacks that the module was built from.
type keylessCase struct {
	name string
	// lab changes the Sigstore before its root is taken; recipe and bundle what it makes.
	lab    func(l *Lab)
	recipe func(l *Lab, r *Recipe)
	bundle func(l *Lab, b *protobundle.Bundle)
	root   func(t *testing.T, l *Lab) []byte // instead of the lab's own
	trust  []sigstore.Option                 // beyond the root; nil means the builder
	// why is what each refusal must say; empty means that the bundle is trusted.
	why string
}

var trustBuilder = sigstore.Identity(subject, issuer)

func TestKeyless(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(goodCases, identityCases, witnessCases, timeCases, trapCases) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := New(t)
			if c.lab != nil {
				c.lab(l)
			}
			r := Recipe{Request: builder, Payload: statement(t)}
			if c.recipe != nil {
				c.recipe(l, &r)
			}
			b := l.Bundle(r)
			if c.bundle != nil {
				c.bundle(l, b)
			}
			root := l.Root()
			if c.root != nil {
				root = c.root(t, l)
			}
			trust := c.trust
			if trust == nil {
				trust = []sigstore.Option{trustBuilder}
			}
			for i, err := range judge(t, JSON(t, b), append([]sigstore.Option{sigstore.TrustedRoot(root)}, trust...)...) {
				if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
					t.Errorf("%s: %v, want %q", names[i], err, c.why)
				}
			}
		})
	}
}

var goodCases = []keylessCase{
	{name: "Rekor v2 and a timestamp"},
	{name: "Rekor v1, whose promise tells the time", recipe: func(_ *Lab, r *Recipe) { r.V1, r.Timeless = true, true }},
	{name: "Rekor v1 and a timestamp", recipe: func(_ *Lab, r *Recipe) { r.V1 = true }},
	{
		name: "two logs and two times", bundle: addOtherLog,
		trust: []sigstore.Option{trustBuilder, sigstore.TransparencyLogs(2), sigstore.Timestamps(2)},
	},
	{
		name:   "private PKI without certificate log",
		recipe: func(_ *Lab, r *Recipe) { r.WithoutSCT = true },
		trust:  []sigstore.Option{trustBuilder, sigstore.PrivatePKI()},
	},
	{
		name: "build as pinned", recipe: release,
		trust: []sigstore.Option{trustBuilder, sigstore.From(pinned)},
	},
	{
		name: "signed a month ago, in the life of the certificate", why: "was valid until", // the issue time is forged
		recipe: func(_ *Lab, r *Recipe) {
			r.At = time.Now().Add(-30 * 24 * time.Hour)
			r.NotBefore = r.At.Add(-time.Minute)
		},
	},
}

var pinned = sigstore.Build{SourceRepository: "https://github.com/owner/name", SourceRef: "refs/tags/v1.2.0", Runner: "github-hosted"}

func release(_ *Lab, r *Recipe) {
	r.Build = map[string]string{"repository": pinned.SourceRepository, "ref": pinned.SourceRef, "runner": pinned.Runner, "config": subject}
}

var identityCases = []keylessCase{
	{name: "neg 16: wrong subject", why: "expected SAN value", recipe: func(_ *Lab, r *Recipe) {
		r.Subjects = []string{"https://github.com/evil/name/.github/workflows/release.yml@refs/tags/v1.2.0"}
	}},
	{name: "neg 17: wrong issuer", why: "expected issuer value", recipe: func(_ *Lab, r *Recipe) { r.Issuer = "https://gitlab.com" }},
	{name: "neg 17: the right issuer in the deprecated extension only", why: "expected issuer value", recipe: func(_ *Lab, r *Recipe) { r.Issuer, r.OldIssuer = "https://gitlab.com", issuer }},
	{name: "neg 17: another issuer in the deprecated extension", why: "names two issuers", recipe: func(_ *Lab, r *Recipe) { r.OldIssuer = "https://gitlab.com" }},
	{
		name: "neg 18, trap 1: a subject that holds the trusted one", why: "expected SAN value", recipe: func(_ *Lab, r *Recipe) { r.Subjects = []string{"xbuilder@example.com.evil.net"} },
		trust: []sigstore.Option{sigstore.Identity("builder@example.com", issuer)},
	},
	{
		name: "neg 18: a dot is a dot", why: "expected SAN value", recipe: func(_ *Lab, r *Recipe) { r.Subjects = []string{"builder@exampleXcom"} },
		trust: []sigstore.Option{sigstore.Identity("builder@example.com", issuer)},
	},
	{
		name: "neg 18: a pattern is no pattern", why: "expected SAN value", trust: []sigstore.Option{sigstore.Identity(".*", issuer)},
	},
	{name: "neg 18: subject in another case", why: "expected SAN value", recipe: func(_ *Lab, r *Recipe) {
		r.Subjects = []string{"https://github.com/Owner/name/.github/workflows/release.yml@refs/tags/v1.2.0"}
	}},
	{name: "two subjects, the trusted one first", why: "bears 2 names", recipe: func(_ *Lab, r *Recipe) { r.Subjects = []string{subject, "https://evil.example/"} }},
	{name: "two subjects of two kinds", why: "bears 2 names", recipe: func(_ *Lab, r *Recipe) { r.Subjects = []string{subject, "evil@example.com"} }},
	{
		name: "neg 19: same workflow on a branch", why: "expected SourceRepositoryRef", recipe: func(l *Lab, r *Recipe) { release(l, r); r.Build["ref"] = "refs/heads/evil" },
		trust: []sigstore.Option{trustBuilder, sigstore.From(pinned)},
	},
	{
		name: "neg 19: self-hosted runner", why: "expected RunnerEnvironment", recipe: func(l *Lab, r *Recipe) { release(l, r); r.Build["runner"] = "self-hosted" },
		trust: []sigstore.Option{trustBuilder, sigstore.From(pinned)},
	},
	{
		name: "neg 19: fork", why: "expected SourceRepositoryURI", recipe: func(l *Lab, r *Recipe) { release(l, r); r.Build["repository"] = "https://github.com/evil/name" },
		trust: []sigstore.Option{trustBuilder, sigstore.From(pinned)},
	},
	{name: "neg 19: certificate that says nothing of the build", why: "expected ", trust: []sigstore.Option{trustBuilder, sigstore.From(pinned)}},
	{name: "neg 22: authority of another root", why: "leaf certificate verification failed", root: func(t *testing.T, l *Lab) []byte { t.Helper(); l.CA = New(t).CA; return l.Root() }},
	{name: "neg 28: not in a certificate log", why: "signed certificate timestamp", recipe: func(_ *Lab, r *Recipe) { r.WithoutSCT = true }},
	{name: "neg 28: in a certificate log nobody trusts", why: "signed certificate timestamp", root: func(t *testing.T, l *Lab) []byte { t.Helper(); l.CT = newKey(t); return l.Root() }},
}
