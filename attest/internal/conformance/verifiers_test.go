package conformance

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/cosign"
	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/attest/sigstore"
)

// keyless are the verifiers that must judge every bundle alike.
var keyless = map[string]func(...sigstore.Option) (envelope.Verifier, error){
	"sigstore": sigstore.Keyless,
	"cosign":   cosign.Verifier,
}

// The signer whom the cases trust.
const (
	subject = "https://github.com/owner/name/.github/workflows/release.yml@refs/tags/v1.2.0"
	issuer  = "https://token.actions.githubusercontent.com"
)

var builder = Request{Subjects: []string{subject}, Issuer: issuer}

// statement is a valid manifest.
func statement(tb testing.TB) []byte {
	tb.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	digest := manifest.Digest(nil)
	m := &manifest.Manifest{
		ServerName: "files", ServerVersion: "1.2.0", Sequence: 1,
		IssuedAt: now, NotBefore: now, Expires: now.Add(24 * time.Hour), Closed: true,
		DefinitionScheme: manifest.DefinitionScheme, ServerSHA256: digest, InstructionsSHA256: digest,
		Tools:   []manifest.Tool{{Name: "read", Version: "1.0.0", SHA256: digest, Artifacts: []string{}}},
		Prompts: []manifest.Definition{}, Resources: []manifest.Definition{}, ResourceTemplates: []manifest.Definition{},
		Executables: []manifest.Executable{}, Artifacts: []manifest.Artifact{},
	}
	data, err := m.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// accept does with a file what attest does at start.
func accept(ctx context.Context, file []byte, v envelope.Verifier) (*envelope.Verified, error) {
	signed, err := envelope.Open(ctx, file, v)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Decode(signed[0].Payload)
	if err != nil {
		return nil, err
	}
	return signed[0], signed[0].Covers(m.IssuedAt)
}

// names gives verdicts their order.
var names = []string{"cosign", "sigstore"}

// judge runs one file through each keyless verifier and returns what it says.
func judge(t *testing.T, file []byte, opts ...sigstore.Option) []error {
	t.Helper()
	verdicts := make([]error, 0, len(names))
	for _, name := range names {
		v, err := keyless[name](slices.Clone(opts)...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		signed, err := accept(t.Context(), file, v)
		verdicts = append(verdicts, err)
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		if signed.Signer != subject+" issued by "+issuer || signed.Time.IsZero() || signed.Log == "" || !signed.NotBefore.Before(signed.NotAfter) {
			t.Errorf("%s: says %+v", name, signed)
		}
	}
	return verdicts
}
