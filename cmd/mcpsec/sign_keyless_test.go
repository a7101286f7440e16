package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

// With the real Fulcio, Rekor v2 and timestamp server, on the loopback: what is signed
// without a key is verified by both libraries, for the one identity and issuer.
func TestKeylessWithRealServices(t *testing.T) {
	t.Parallel()
	fulcio, rekor, tsa, cosign := oracle.Path(t, "fulcio"), oracle.Path(t, "rekor-server"), oracle.Path(t, "timestamp-server"), oracle.Path(t, "cosign")
	oracle.Alone(t, "timestamp-server") // its metrics have port 2112, whatever it is told
	b := newBench(t)
	i := newIssuer(t)
	b.write("token", []byte(i.token(t, "builder@example.com")))
	b.write("fulcio.yaml", fmt.Appendf(nil, "oidc-issuers:\n  %[1]s:\n    issuer-url: %[1]s\n    client-id: sigstore\n    type: email\n", i.URL))
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b.pem("rekor.key", "PRIVATE KEY", func() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(private) })
	b.pem("rekor.pub", "PUBLIC KEY", func() ([]byte, error) { return x509.MarshalPKIXPublicKey(public) })

	// No certificate transparency log: --private-pki waives it.
	ca := b.serve("/healthz", fulcio, "serve", "--host", "127.0.0.1", "--port", "PORT", "--grpc-host", "127.0.0.1", "--grpc-port", "PORT",
		"--metrics-port", "PORT", "--ca", "ephemeralca", "--ct-log-url=", "--config-path", "fulcio.yaml", "--legacy-unix-domain-socket", b.path("fulcio.sock"))
	log := b.serve("/healthz", rekor, "serve", "--http-port", "PORT", "--grpc-port", "PORT", "--http-metrics-port", "PORT", "--hostname", "rekor.test",
		"--storage-dir", b.path("log"), "--checkpoint-interval", "500ms", "--signer-filepath", "rekor.key")
	clock := b.serve("/ping", tsa, "serve", "--host", "127.0.0.1", "--port", "PORT", "--timestamp-signer", "memory", "--disable-ntp-monitoring") + "/api/v1/timestamp"
	b.root(cosign, ca, clock)

	b.run("mcpsec", "manifest", "--", "notes", "serve")
	out := b.run("mcpsec", "sign", "manifest.json", "--keyless", "--identity-token-file", "token", "--fulcio-url", ca, "--rekor-url", log, "--tsa-url", clock)
	if !strings.Contains(out, "keyless, certified by "+ca) {
		t.Error(out)
	}
	trust := func(who, issuer string, more ...string) []string {
		return append([]string{"verify", "manifest.sigstore.json", "--identity", who, "--issuer", issuer, "--trusted-root", "root.json"}, more...)
	}
	for _, library := range []string{"sigstore", "cosign"} {
		said := b.run("mcpsec", trust("builder@example.com", i.URL, "--private-pki", "--using", library)...)
		if !strings.Contains(said, "builder@example.com issued by "+i.URL) || !strings.Contains(said, "log rekor.test#") {
			t.Errorf("%s:\n%s", library, said)
		}
		b.refuse("no trusted signature", "mcpsec", trust("builder@example.com.evil.net", i.URL, "--private-pki", "--using", library)...)        // neg 16
		b.refuse("no trusted signature", "mcpsec", trust("builder@example.com", "https://example.com", "--private-pki", "--using", library)...) // neg 17
		b.refuse("no trusted signature", "mcpsec", trust("uilder@example.com", i.URL, "--private-pki", "--using", library)...)                  // neg 18
		b.refuse("no trusted signature", "mcpsec", trust("builder@example.com", i.URL, "--using", library)...)                                  // neg 28
		b.refuse("no trusted signature", "mcpsec", trust("builder@example.com", i.URL, "--private-pki", "--source-ref", "refs/heads/main", "--using", library)...)
	}
	// A key beside the identity: either alone is one signer, both are two. neg 29.
	b.run("mcpsec", "keygen", "-o", "release", "--passphrase-file", "phrase")
	b.refuse("no trusted signature", "mcpsec", "verify", "manifest.sigstore.json", "--key", "release.pub")
	b.run("mcpsec", "sign", "manifest.json", "--key", "release.key", "--passphrase-file", "phrase")
	if said := b.run("mcpsec", trust("builder@example.com", i.URL, "--private-pki", "--key", "release.pub", "--threshold", "2")...); strings.Count(said, "signed by") != 2 {
		t.Error(said)
	}
	// A token of somebody else certifies nobody.
	b.write("token", []byte(newIssuer(t).token(t, "builder@example.com")))
	b.refuse("mcpsec: ", "mcpsec", "sign", "manifest.json", "--keyless", "--identity-token-file", "token", "--fulcio-url", ca, "--rekor-url", log, "--tsa-url", clock)
}

func (b *bench) pem(name, kind string, der func() ([]byte, error)) {
	b.t.Helper()
	data, err := der()
	if err != nil {
		b.t.Fatal(err)
	}
	b.write(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
}

// root has the stock cosign write the trusted root of the services.
func (b *bench) root(cosign, ca, clock string) {
	b.t.Helper()
	var bundle struct {
		Chains []struct {
			Certificates []string `json:"certificates"`
		} `json:"chains"`
	}
	if err := json.Unmarshal(b.get(ca+"/api/v2/trustBundle"), &bundle); err != nil || len(bundle.Chains) == 0 {
		b.t.Fatal(err, bundle)
	}
	b.write("fulcio.pem", []byte(strings.Join(bundle.Chains[0].Certificates, "\n")))
	b.write("tsa.pem", b.get(clock+"/certchain"))
	const start = ",start-time=2024-01-01T00:00:00Z"
	b.run(cosign, "trusted-root", "create", "--out", "root.json", "--fulcio", "url="+ca+",certificate-chain=fulcio.pem"+start,
		"--tsa", "url="+clock+",certificate-chain=tsa.pem"+start, "--rekor", "url=https://rekor.test,origin=rekor.test,public-key=rekor.pub"+start)
}

// visitor leaves no idle connections behind.
var visitor = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

func (b *bench) get(url string) []byte {
	b.t.Helper()
	resp, err := visitor.Get(url)
	if err != nil {
		b.t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if closed := resp.Body.Close(); err != nil || closed != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s: %v, %v", url, resp.Status, err, closed)
	}
	return data
}

// serve runs a service until the end of the test and returns its address once it
// answers. PORT stands for a free port, of which the first is the service's.
func (b *bench) serve(ready, program string, args ...string) string {
	b.t.Helper()
	first := ""
	for i, arg := range args {
		if arg == "PORT" {
			args[i] = oracle.Port(b.t)
			if first == "" {
				first = args[i]
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	var out bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.dir, []string{"HOME=" + b.dir}, &out, &out
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed in the end
	}()
	b.t.Cleanup(func() {
		cancel()
		<-ended
		if b.t.Failed() {
			b.t.Log(out.String())
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for {
		select {
		case <-ended:
			b.t.Fatalf("%s ended", program)
		case <-late:
			b.t.Fatalf("%s does not answer", program)
		case <-tick.C:
			if resp, err := visitor.Get("http://127.0.0.1:" + first + ready); err == nil {
				_ = resp.Body.Close() // nothing of it is read
				return "http://127.0.0.1:" + first
			}
		}
	}
}

// An issuer of identity tokens: OpenID Connect discovery and one key.
type issuer struct {
	*httptest.Server

	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	encode := base64.RawURLEncoding.EncodeToString
	mux := http.NewServeMux()
	answer := func(path string, value func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(value()) // the client may be gone
		})
	}
	answer("/.well-known/openid-configuration", func() any {
		return map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		}
	})
	answer("/keys", func() any {
		return map[string]any{"keys": []map[string]string{{"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "use": "sig", "x": encode(point[1:33]), "y": encode(point[33:])}}}
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// token says that its bearer has an e-mail address (ES256, RFC 7519).
func (i *issuer) token(t *testing.T, email string) string {
	t.Helper()
	part := func(v map[string]any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	now := time.Now()
	signed := part(map[string]any{"alg": "ES256", "typ": "JWT", "kid": "k"}) + "." + part(map[string]any{
		"iss": i.URL, "sub": email, "email": email, "email_verified": true, "aud": "sigstore", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}
