package conformance

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/cosign/keyfile"
	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/attest/sigstore"
	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

const password = "correct horse battery staple" // of keys that live as long as the test

// cli runs the stock cosign in a folder that is its home, too.
func cli(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, oracle.Path(t, "cosign"), args...)
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "COSIGN_PASSWORD=" + password}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// verifyCLI has the stock cosign verify a bundle that speaks of a file. The manifest
// names the instructions, which are empty.
func verifyCLI(t *testing.T, bundle, root []byte, more ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "bundle.json", bundle)
	write(t, dir, "root.json", root)
	write(t, dir, "instructions", nil)
	return cli(t, dir, append([]string{
		"verify-blob-attestation", "--bundle", "bundle.json", "--new-bundle-format", "--trusted-root", "root.json",
		"--type", manifest.PredicateType, "--use-signed-timestamps",
	}, append(more, "instructions")...)...)
}

// TestStockCosign is about both directions between this module and the stock cosign,
// with the services of the lab.
func TestStockCosign(t *testing.T) {
	t.Parallel()
	oracle.Path(t, "cosign")
	l := New(t)
	url := l.Serve().URL
	services := sigstore.Services{Fulcio: url, RekorV2: []string{url}, Timestamps: []string{url + "/api/v1/timestamp"}}

	t.Run("ours verified by cosign", func(t *testing.T) {
		t.Parallel()
		s, err := sigstore.Sign(services, token(l.Token(subject, issuer, time.Now().Add(time.Minute))))
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := s.Sign(t.Context(), envelope.PayloadType, statement(t))
		if err != nil {
			t.Fatal(err)
		}
		out, err := verifyCLI(t, bundle, l.Root(), "--certificate-identity", subject, "--certificate-oidc-issuer", issuer)
		if err != nil {
			t.Errorf("cosign: %v: %s", err, out)
		}
		out, err = verifyCLI(t, bundle, l.Root(), "--certificate-identity", "somebody", "--certificate-oidc-issuer", issuer)
		if err == nil {
			t.Errorf("cosign takes it for another's: %s", out)
		}
	})
	t.Run("cosign's verified by us", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		write(t, dir, "statement.json", statement(t))
		write(t, dir, "root.json", l.Root())
		write(t, dir, "token", []byte(l.Token(subject, issuer, time.Now().Add(time.Minute))))
		out, err := cli(t, dir, "attest-blob", "--yes", "--statement", "statement.json", "--new-bundle-format", "--bundle", "bundle.json",
			"--trusted-root", "root.json", "--fulcio-url", url, "--rekor-url", url, "--timestamp-server-url", url+"/api/v1/timestamp",
			"--identity-token", "token")
		if err != nil {
			t.Fatalf("cosign: %v: %s", err, out)
		}
		bundle, err := os.ReadFile(filepath.Join(dir, "bundle.json"))
		if err != nil {
			t.Fatal(err)
		}
		for i, err := range judge(t, bundle, sigstore.TrustedRoot(l.Root()), trustBuilder) {
			if err != nil {
				t.Errorf("%s: %v", names[i], err)
			}
		}
	})
	t.Run("our key file used by cosign", func(t *testing.T) {
		t.Parallel()
		private, public, err := keyfile.Generate([]byte(password))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		write(t, dir, "ours.key", private)
		write(t, dir, "statement.json", statement(t))
		out, err := cli(t, dir, "attest-blob", "--yes", "--statement", "statement.json", "--new-bundle-format", "--bundle", "bundle.json", "--key", "ours.key", "--tlog-upload=false")
		if err != nil {
			t.Fatalf("cosign: %v: %s", err, out)
		}
		bundle, err := os.ReadFile(filepath.Join(dir, "bundle.json"))
		if err != nil {
			t.Fatal(err)
		}
		key, err := envelope.ParseKey(public)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := accept(t.Context(), bundle, envelope.Keys(key)); err != nil {
			t.Error(err)
		}
	})
	t.Run("cosign's key file used by us", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if out, err := cli(t, dir, "generate-key-pair"); err != nil {
			t.Fatalf("cosign: %v: %s", err, out)
		}
		private, err := keyfile.Read(filepath.Join(dir, "cosign.key"), func() ([]byte, error) { return []byte(password), nil })
		if err != nil {
			t.Fatal(err)
		}
		s, err := envelope.SignWith(private)
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := s.Sign(t.Context(), envelope.PayloadType, statement(t))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "bundle.json", bundle)
		write(t, dir, "instructions", nil)
		write(t, dir, "root.json", l.Root()) // or it asks the network for one
		verify := []string{
			"verify-blob-attestation", "--trusted-root", "root.json", "--bundle", "bundle.json", "--new-bundle-format", "--type", manifest.PredicateType,
			"--insecure-ignore-tlog", "--key", "cosign.pub", "instructions",
		}
		if out, err := cli(t, dir, verify...); err != nil {
			t.Errorf("cosign: %v: %s", err, out)
		}
		write(t, dir, "instructions", []byte("other"))
		if out, err := cli(t, dir, verify...); err == nil {
			t.Errorf("cosign takes it for a statement about another file: %s", out)
		}
	})
}
