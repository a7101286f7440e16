package conformance

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/sigstore"
	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

// start runs a server until the end of the test and waits until it answers.
func start(t *testing.T, ready, dir, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	var out bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, []string{"HOME=" + dir}, &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed in the end
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(program), out.String())
		}
	})
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for {
		select {
		case <-ended:
			t.Fatalf("%s ended", program)
		case <-late:
			t.Fatalf("%s does not answer", program)
		case <-tick.C:
			if resp, err := client.Get(ready); err == nil {
				_ = resp.Body.Close() // it has none
				return
			}
		}
	}
}

// client leaves no idle connections behind.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

func get(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v", url, resp.Status, err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return data
}

// A realm is a Sigstore of the real servers on the loopback. The issuer of tokens, the
// certificate transparency log, and Rekor v1 for the stock cosign are the lab's.
type realm struct {
	lab                        *Lab
	issuer, fulcio, rekor, tsa string
	root                       []byte
}

func startReal(t *testing.T) *realm {
	t.Helper()
	fulcio, rekor, tsa := oracle.Path(t, "fulcio"), oracle.Path(t, "rekor-server"), oracle.Path(t, "timestamp-server")
	oracle.Alone(t, "timestamp-server") // its metrics have port 2112, whatever it is told
	dir := t.TempDir()
	r := &realm{lab: New(t)}
	r.issuer = r.lab.Serve().URL

	config := fmt.Sprintf("oidc-issuers:\n  %[1]s:\n    issuer-url: %[1]s\n    client-id: sigstore\n    type: email\n", r.issuer)
	p := oracle.Port(t)
	r.fulcio = "http://127.0.0.1:" + p
	start(t, r.fulcio+"/healthz", dir, fulcio, "serve", "--host", "127.0.0.1", "--port", p, "--grpc-host", "127.0.0.1", "--grpc-port", oracle.Port(t),
		"--metrics-port", oracle.Port(t), "--ca", "ephemeralca", "--ct-log-url", r.issuer, "--config-path", write(t, dir, "fulcio.yaml", []byte(config)),
		"--legacy-unix-domain-socket", filepath.Join(dir, "fulcio.sock"))

	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	p = oracle.Port(t)
	r.rekor = "http://127.0.0.1:" + p
	start(t, r.rekor+"/healthz", dir, rekor, "serve", "--http-port", p, "--grpc-port", oracle.Port(t), "--http-metrics-port", oracle.Port(t), "--hostname", "rekor.real",
		"--storage-dir", filepath.Join(dir, "log"), "--checkpoint-interval", "500ms",
		"--signer-filepath", write(t, dir, "rekor.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))

	p = oracle.Port(t)
	r.tsa = "http://127.0.0.1:" + p + "/api/v1/timestamp"
	start(t, "http://127.0.0.1:"+p+"/ping", dir, tsa, "serve", "--host", "127.0.0.1", "--port", p, "--timestamp-signer", "memory", "--disable-ntp-monitoring")

	r.root = r.trustedRoot(t, dir, public)
	return r
}

// trustedRoot has the stock cosign write the root.
func (r *realm) trustedRoot(t *testing.T, dir string, rekor ed25519.PublicKey) []byte {
	t.Helper()
	var bundle struct {
		Chains []struct {
			Certificates []string `json:"certificates"`
		} `json:"chains"`
	}
	if err := json.Unmarshal(get(t, r.fulcio+"/api/v2/trustBundle"), &bundle); err != nil {
		t.Fatal(err)
	}
	public := func(name string, key any) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, dir, name, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	write(t, dir, "fulcio.pem", []byte(strings.Join(bundle.Chains[0].Certificates, "\n")))
	write(t, dir, "tsa.pem", get(t, r.tsa+"/certchain"))
	const start = ",start-time=2024-01-01T00:00:00Z"
	out, err := cli(t, dir, "trusted-root", "create", "--out", "root.json",
		"--fulcio", "url="+r.fulcio+",certificate-chain=fulcio.pem"+start, "--tsa", "url="+r.tsa+",certificate-chain=tsa.pem"+start,
		"--rekor", "url=https://rekor.real,origin=rekor.real,public-key="+public("rekor.pub", rekor)+start,
		"--rekor", "url=https://"+r.lab.V1.Host+",public-key="+public("rekor1.pub", r.lab.V1.key.Public())+start,
		"--ctfe", "url="+r.issuer+",public-key="+public("ct.pub", r.lab.CT.Public())+start)
	if err != nil {
		t.Fatalf("cosign: %v: %s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "root.json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestRealServers signs and verifies with the real Fulcio, Rekor v2 and timestamp
// server, and the stock cosign, in both directions.
func TestRealServers(t *testing.T) {
	oracle.Path(t, "cosign")
	r := startReal(t)
	const who = "builder@example.com"
	trust := []sigstore.Option{sigstore.TrustedRoot(r.root), sigstore.Identity(who, r.issuer)}
	verify := func(t *testing.T, bundle []byte, log string) {
		t.Helper()
		for _, name := range names {
			v, err := keyless[name](trust...)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := accept(t.Context(), bundle, v)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if signed.Signer != who+" issued by "+r.issuer || !strings.HasPrefix(signed.Log, log) || signed.Time.IsZero() {
				t.Errorf("%s: says %+v", name, signed)
			}
			if v, err = keyless[name](sigstore.TrustedRoot(r.root), sigstore.Identity("x"+who, r.issuer)); err != nil {
				t.Fatal(err)
			}
			if _, err := accept(t.Context(), bundle, v); err == nil {
				t.Errorf("%s: trusted as another's", name)
			}
		}
	}
	t.Run("ours", func(t *testing.T) {
		dir := t.TempDir()
		const start = ",api-version=%d,start-time=2024-01-01T00:00:00Z,operator=test"
		if out, err := cli(t, dir, "signing-config", "create", "--out", "signing.json", "--fulcio", "url="+r.fulcio+fmt.Sprintf(start, 1),
			"--rekor", "url="+r.rekor+fmt.Sprintf(start, 2), "--rekor-config", "ANY", "--tsa", "url="+r.tsa+fmt.Sprintf(start, 1), "--tsa-config", "ANY"); err != nil {
			t.Fatalf("cosign: %v: %s", err, out)
		}
		services, err := sigstore.SigningConfigFile(filepath.Join(dir, "signing.json"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := sigstore.Sign(services, token(r.lab.Token(who, r.issuer, time.Now().Add(time.Minute))))
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := s.Sign(t.Context(), envelope.PayloadType, statement(t))
		if err != nil {
			t.Fatal(err)
		}
		verify(t, bundle, "rekor.real#")
		if out, err := verifyCLI(t, bundle, r.root, "--certificate-identity", who, "--certificate-oidc-issuer", r.issuer); err != nil {
			t.Errorf("cosign: %v: %s", err, out)
		}
		if out, err := verifyCLI(t, bundle, r.root, "--certificate-identity", who, "--certificate-oidc-issuer", "https://other.example"); err == nil {
			t.Errorf("cosign takes it for another issuer's: %s", out)
		}
	})
	t.Run("cosign's", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "statement.json", statement(t))
		write(t, dir, "root.json", r.root)
		write(t, dir, "token", []byte(r.lab.Token(who, r.issuer, time.Now().Add(time.Minute))))
		attest := []string{
			"attest-blob", "--yes", "--statement", "statement.json", "--new-bundle-format", "--bundle", "bundle.json", "--trusted-root", "root.json",
			"--fulcio-url", r.fulcio, "--timestamp-server-url", r.tsa, "--identity-token", "token",
		}
		if out, err := cli(t, dir, append(attest, "--rekor-url", r.issuer)...); err != nil {
			t.Fatalf("cosign: %v: %s", err, out)
		}
		bundle, err := os.ReadFile(filepath.Join(dir, "bundle.json"))
		if err != nil {
			t.Fatal(err)
		}
		verify(t, bundle, r.lab.V1.Host+" - ")
	})
}
