package envelope

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

// A cosign is the real command line in a folder of its own. It is given no network service
// to ask: an empty trusted root, and no transparency log.
type cosign struct{ path, dir string }

func newCosign(t *testing.T) cosign {
	t.Helper()
	c := cosign{oracle.Path(t, "cosign"), t.TempDir()}
	c.write(t, "root.json", []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`))
	return c
}

func (c cosign) file(name string) string { return filepath.Join(c.dir, name) }

func (c cosign) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(c.file(name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c cosign) run(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"HOME=" + c.dir, "COSIGN_PASSWORD=test", "PATH="}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c cosign) verify(t *testing.T, bundle, artifact string) (output string, err error) {
	t.Helper()
	return c.run(t, "verify-blob-attestation", "--key", "release.pub", "--bundle", bundle, "--new-bundle-format",
		"--trusted-root", "root.json", "--insecure-ignore-tlog", "--type", manifest.PredicateType, artifact)
}

// manifestOf is a manifest with one artifact.
func manifestOf(t *testing.T, artifact []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(artifact)
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	raw, err := (&manifest.Manifest{
		ServerName: "files", Sequence: 1, IssuedAt: now, NotBefore: now, Expires: now.AddDate(0, 1, 0), Closed: true,
		DefinitionScheme: manifest.DefinitionScheme, ServerSHA256: strings.Repeat("0", 64), InstructionsSHA256: strings.Repeat("0", 64), Tools: []manifest.Tool{},
		Prompts: []manifest.Definition{}, Resources: []manifest.Definition{}, ResourceTemplates: []manifest.Definition{},
		Executables: []manifest.Executable{},
		Artifacts:   []manifest.Artifact{{Name: "prompt", Role: "prompt", Path: "prompt.txt", Size: int64(len(artifact)), SHA256: hex.EncodeToString(sum[:]), Bind: manifest.Snapshot}},
	}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestCosignReadsOurBundles: with both kinds of key; and refuses what is not signed.
func TestCosignReadsOurBundles(t *testing.T) {
	t.Parallel()
	for name, generate := range map[string]func() (crypto.Signer, error){
		"Ed25519": func() (crypto.Signer, error) {
			_, private, err := ed25519.GenerateKey(rand.Reader)
			return private, err
		},
		"ECDSA P-256": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCosign(t)
			private, err := generate()
			if err != nil {
				t.Fatal(err)
			}
			s, err := SignWith(private)
			if err != nil {
				t.Fatal(err)
			}
			c.write(t, "release.pub", []byte(pemOf(t, "PUBLIC KEY", private.Public())))
			c.write(t, "prompt.txt", []byte("be kind"))
			c.write(t, "other.txt", []byte("be evil"))
			good := sign(t, s, string(manifestOf(t, []byte("be kind"))))
			c.write(t, "good.json", good)
			if out, err := c.verify(t, "good.json", "prompt.txt"); err != nil {
				t.Errorf("refused: %v\n%s", err, out)
			}
			if out, err := c.verify(t, "good.json", "other.txt"); err == nil || !strings.Contains(out, "does not match any digest") {
				t.Errorf("accepted for another file: %s", out)
			}
			c.write(t, "evil.json", edit(t, good, func(b map[string]any) {
				dsse(b)["payload"] = b64(string(manifestOf(t, []byte("be evil"))))
			}))
			if out, err := c.verify(t, "evil.json", "other.txt"); err == nil || !strings.Contains(out, "could not verify envelope") {
				t.Errorf("accepted with another payload: %s", out)
			}
		})
	}
}

// TestWeReadBundlesOfCosign: of a key that cosign made, byte for byte.
func TestWeReadBundlesOfCosign(t *testing.T) {
	t.Parallel()
	c := newCosign(t)
	statement := manifestOf(t, []byte("be kind"))
	c.write(t, "statement.json", statement)
	for _, args := range [][]string{
		{"generate-key-pair", "--output-key-prefix", "release"},
		{
			"attest-blob", "--key", "release.key", "--statement", "statement.json", "--bundle", "bundle.json", "--new-bundle-format",
			"--tlog-upload=false", "--yes",
		},
	} {
		if out, err := c.run(t, args...); err != nil {
			t.Fatalf("cosign %s: %v\n%s", args[0], err, out)
		}
	}
	key, err := ReadKey(c.file("release.pub"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(c.file("bundle.json"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := Open(t.Context(), file, Keys(key))
	if err != nil || !bytes.Equal(signed[0].Payload, statement) {
		t.Fatalf("%v, %v\n%s", signed, err, file)
	}
	b, err := Parse(file)
	if err != nil || b.Hint != key.hint() {
		t.Errorf("the hint is %s, and ours %s, %v", b.Hint, key.hint(), err)
	}
	_, other := ecdsaKey(t)
	if _, err := Open(t.Context(), sign(t, other, string(statement)), Keys(key)); err == nil {
		t.Error("accepted from another key")
	}
}
