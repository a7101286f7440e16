package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

// A bench is a folder in which programs run as they do for a user, with nothing of the
// environment but the path.
type bench struct {
	t   *testing.T
	dir string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t, t.TempDir()}
	b.write("phrase", []byte("correct horse"))
	b.write("rules.txt", []byte("be kind"))
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) write(name string, data []byte) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// try runs a program and returns what it says.
func (b *bench) try(program string, args ...string) (string, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = b.dir
	cmd.Env = []string{"HOME=" + b.dir, "PATH=" + os.Getenv("PATH"), "COSIGN_PASSWORD=correct horse", "GORACE=atexit_sleep_ms=0"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (b *bench) run(program string, args ...string) string {
	b.t.Helper()
	out, err := b.try(program, args...)
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s", filepath.Base(program), args[0], err, out)
	}
	return out
}

// refuse runs a program that has to fail and say why.
func (b *bench) refuse(why, program string, args ...string) {
	b.t.Helper()
	out, err := b.try(program, args...)
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !strings.Contains(out, why) {
		b.t.Errorf("%s %s: %v, want %q\n%s", filepath.Base(program), args[0], err, why, out)
	}
}

// The stock cosign takes what mcpsec signs with a key of either, for every file that
// the manifest speaks of and no other.
func TestStockCosignVerifiesWhatWasSigned(t *testing.T) {
	t.Parallel()
	cosign := oracle.Path(t, "cosign")
	b := newBench(t)
	b.write("root.json", []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`))
	b.run("mcpsec", "keygen", "-o", "ours", "--passphrase-file", "phrase")
	b.run(cosign, "generate-key-pair", "--output-key-prefix", "theirs")
	b.run("mcpsec", "manifest", "--artifact", "rules=rules.txt:snapshot:prompt:read", "--", "notes", "serve")
	for _, key := range []string{"ours", "theirs"} {
		b.run("mcpsec", "sign", "manifest.json", "-o", key+".json", "--key", key+".key", "--passphrase-file", "phrase")
		b.run("mcpsec", "verify", key+".json", "--key", key+".pub")
		verify := []string{
			"verify-blob-attestation", "--key", key + ".pub", "--bundle", key + ".json", "--new-bundle-format",
			"--trusted-root", "root.json", "--insecure-ignore-tlog", "--type", manifest.PredicateType,
		}
		b.run(cosign, append(verify, "rules.txt")...)
		b.refuse("does not match any digest", cosign, append(verify, "phrase")...)
		data, err := os.ReadFile(b.path(key + ".json"))
		if err != nil {
			t.Fatal(err)
		}
		b.write(key+".json", bytes.Replace(data, []byte(`"payload":"ey`), []byte(`"payload":"eY`), 1))
		b.refuse("rror", cosign, append(verify, "rules.txt")...)
		b.refuse("mcpsec: ", "mcpsec", "verify", key+".json", "--key", key+".pub")
	}
}
