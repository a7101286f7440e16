package rolesanywhere

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/aws"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

// Case 19: the service takes what an RSA and an ECDSA key sign, with and without a
// chain, and what comes out opens what it should.
func TestSessions(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, nil)
	between := newAuthority(t, root)
	deep := newAuthority(t, between)
	chained := func(a *authority, key crypto.Signer, chain ...*x509.Certificate) Identity {
		id := a.leaf(t, key, nil)
		id.Chain = chain
		return id
	}
	for name, id := range map[string]Identity{
		"ECDSA":                   root.leaf(t, ecKey(t), nil),
		"RSA":                     root.leaf(t, rsaKey(), nil),
		"a chain of one":          chained(between, ecKey(t), between.cert),
		"a chain of two":          chained(deep, rsaKey(), deep.cert, between.cert),
		"a key that is elsewhere": root.leaf(t, remote{ecKey(t)}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := fakeaws.NewSecretsManager()
			server := fakeaws.New(t, store)
			service := fakeaws.NewRolesAnywhere(t, root.cert, server.Trust)
			base := aws.From(provider(t, configure(t, service, fixed(id))))

			config := server.Config(t)
			config.Credentials = base
			_, err := secretsmanager.NewFromConfig(config).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
				Name: awssdk.String("made-with-a-session"), SecretString: awssdk.String("x"),
			})
			must(t, err)
			keys, err := base.Retrieve(t.Context())
			must(t, err)
			if left := time.Until(keys.Expires); !keys.CanExpire || left < 59*time.Minute || left > time.Hour || keys.AccountID != fakeaws.Account {
				t.Errorf("%v left, account %s", left, keys.AccountID)
			}
			if service.Requests() != 1 {
				t.Errorf("%d sessions were made", service.Requests())
			}
		})
	}
}

// remote is a key of which nobody has the private half.
type remote struct{ crypto.Signer }

// Case 19: what the service would refuse without saying why is refused before.
func TestCertificates(t *testing.T) {
	t.Parallel()
	root, other := newAuthority(t, nil), newAuthority(t, nil)
	between := newAuthority(t, root)
	good := root.leaf(t, ecKey(t), nil)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	misled := between.leaf(t, ecKey(t), nil)
	misled.Chain = []*x509.Certificate{root.cert, between.cert}
	stale := &authority{key: ecKey(t)}
	stale.cert = sign(t, root, stale, &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "stale"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour), KeyUsage: x509.KeyUsageCertSign,
	})
	late := stale.leaf(t, ecKey(t), nil)
	late.Chain = []*x509.Certificate{stale.cert}
	long := good
	long.Chain = make([]*x509.Certificate, maxChain+1)
	tests := map[string]struct {
		id   Identity
		want string
		sent bool // the service has to find out
	}{
		"expired":           {root.leaf(t, ecKey(t), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "it expired at", false},
		"not yet valid":     {root.leaf(t, ecKey(t), func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), "not valid before", false},
		"another's key":     {Identity{Leaf: good.Leaf, Signer: ecKey(t)}, "not that of the certificate", false},
		"a key of its kind": {Identity{Leaf: good.Leaf, Signer: rsaKey()}, "not that of the certificate", false},
		"no key":            {Identity{Leaf: good.Leaf}, "no key", false},
		"no certificate":    {Identity{Signer: good.Signer}, "no certificate", false},
		"Ed25519":           {root.leaf(t, ed, nil), "RSA or ECDSA", false},
		"a short RSA key":   {root.leaf(t, weak, nil), "2048", false},
		"an authority":      {root.leaf(t, ecKey(t), func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageDigitalSignature }), "no authority", false},
		"no signing":        {root.leaf(t, ecKey(t), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), "digitalSignature", false},
		"chain backwards":   {misled, "certificate 1 of the chain", false},
		"chain expired":     {late, "certificate 1 of the chain has expired", false},
		"chain too long":    {long, "more than 5", false},
		"another authority": {other.leaf(t, ecKey(t), nil), "AccessDeniedException", true},
		"chain left out":    {between.leaf(t, ecKey(t), nil), "AccessDeniedException", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
			refused(t, provider(t, configure(t, service, fixed(test.id))), test.want)
			if (service.Requests() > 0) != test.sent {
				t.Errorf("%d requests", service.Requests())
			}
		})
	}
	t.Run("a key that does not sign", func(t *testing.T) {
		t.Parallel()
		service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
		id := good
		id.Signer = broken{good.Signer}
		refused(t, provider(t, configure(t, service, fixed(id))), "does not sign")
	})
	t.Run("a source that fails", func(t *testing.T) {
		t.Parallel()
		service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
		p := provider(t, configure(t, service, func(context.Context) (Identity, error) { return good, io.ErrUnexpectedEOF }))
		if _, err := p.Retrieve(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) || service.Requests() > 0 {
			t.Error(err)
		}
	})
}

type broken struct{ crypto.Signer }

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New(canary)
}

// liar signs something else.
type liar struct{ crypto.Signer }

func (l liar) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	digest[0] ^= 1
	return l.Signer.Sign(r, digest, o)
}

// The verifier that these tests lean on refuses what it should.
func TestTheServiceVerifies(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, nil)
	good := root.leaf(t, ecKey(t), nil)
	for name, spoil := range map[string]func(*http.Request){
		"another role": func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "workload", "admin", 1) },
		"another date": func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(time.Minute).Format("20060102T150405Z"))
		},
		"another body":     func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"durationSeconds":3601}`)) },
		"another leaf":     func(r *http.Request) { r.Header.Set("X-Amz-X509", r.Header.Get("X-Amz-X509")[4:]) },
		"an unsigned name": func(r *http.Request) { r.Header.Set("X-Amz-Extra", "1") },
		"no signature":     func(r *http.Request) { r.Header.Del("Authorization") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
			c := configure(t, service, fixed(good))
			next := c.Client.Transport
			c.Client = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				spoil(r)
				return next.RoundTrip(r)
			})}
			refused(t, provider(t, c), "AccessDeniedException")
		})
	}
	t.Run("another signature", func(t *testing.T) {
		t.Parallel()
		for _, key := range []crypto.Signer{ecKey(t), rsaKey()} {
			id := root.leaf(t, key, nil)
			id.Signer = liar{id.Signer}
			refused(t, provider(t, configure(t, fakeaws.NewRolesAnywhere(t, root.cert, nil), fixed(id))), "AccessDeniedException")
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Cases 9 and 19: clocks that do not agree.
func TestClocks(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, nil)
	id := root.leaf(t, ecKey(t), nil)
	for want, offset := range map[string]time.Duration{"behind": 10 * time.Minute, "ahead": -10 * time.Minute} {
		service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
		service.SetClock(func() time.Time { return time.Now().Add(offset) })
		refused(t, provider(t, configure(t, service, fixed(id))), "this machine's clock", want)
	}
	for want, life := range map[string]time.Duration{"ended at": -time.Minute, "later than was asked for": 12 * time.Hour} {
		service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
		service.SetLife(life)
		refused(t, provider(t, configure(t, service, fixed(id))), want)
	}
}

// Case 19: ten requests a second from a whole account.
func TestThrottle(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, nil)
	service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
	now := time.Now()
	service.SetClock(func() time.Time { return now })
	p := provider(t, configure(t, service, fixed(root.leaf(t, ecKey(t), nil))))
	var pauses []int
	p.pause = func(_ context.Context, failures int) error {
		pauses = append(pauses, failures)
		return nil
	}
	for range 10 {
		_, err := p.Retrieve(t.Context())
		must(t, err)
	}
	refused(t, p, "ThrottlingException", "ten requests a second")
	if _, err := p.Retrieve(t.Context()); !errors.Is(err, creds.ErrOutage) {
		t.Errorf("not told as an outage: %v", err)
	}
	if service.Requests() != 10+2*attempts || fmt.Sprint(pauses) != "[1 2 1 2]" {
		t.Errorf("%d requests, pauses %v", service.Requests(), pauses)
	}
	p.pause = func(context.Context, int) error { // the next second comes
		service.SetClock(func() time.Time { return now.Add(time.Second) })
		return nil
	}
	_, err := p.Retrieve(t.Context())
	must(t, err)
	service.SetClock(func() time.Time { return now.Add(time.Second) })
	p.pause = func(context.Context, int) error { return context.Canceled }
	for range 9 {
		_, err := p.Retrieve(t.Context())
		must(t, err)
	}
	before := service.Requests()
	refused(t, p, "ThrottlingException")
	if service.Requests() != before+1 {
		t.Error("asked again although the caller has gone")
	}
}

func TestPauseEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for failures := 1; failures < 70; failures++ {
		if err := pause(ctx, failures); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// Cases 19 and 22: answers that are none.
func TestAnswers(t *testing.T) {
	t.Parallel()
	say := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	set := func(role, id, end string) string {
		return `{"credentialSet":[{"roleArn":"` + role + `","credentials":{"accessKeyId":"` + id + `","secretAccessKey":"` + canary + `","sessionToken":"t"` + end + `}}]}`
	}
	end := `,"expiration":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"`
	good := set(fakeaws.WorkloadRole, "ASIA", end)
	const kind = "application/json"
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"201 without credentials":   {say(201, kind, `{"credentialSet":[],"subjectArn":"a"}`), "no credentials"},
		"201 with an empty object":  {say(201, kind, `{}`), "no credentials"},
		"201 with nothing":          {say(201, kind, ``), "no JSON"},
		"201 with HTML":             {say(201, "text/html", "<html>"+canary), "no JSON"},
		"201 with null":             {say(201, kind, `null`), "no credentials"},
		"201 with half":             {say(201, kind, good[:len(good)/2]), "no JSON"},
		"201 with two of one name":  {say(201, kind, good[:len(good)-1]+`,"credentialSet":[]}`), "no JSON"},
		"201 with two sets":         {say(201, kind, `{"credentialSet":[`+strings.Repeat(good[18:len(good)-2]+",", 1)+good[18:len(good)-2]+`]}`), "several"},
		"201 for another role":      {say(201, kind, set("arn:aws:iam::123456789012:role/admin", "ASIA", end)), "another role"},
		"201 without key id":        {say(201, kind, set(fakeaws.WorkloadRole, "", end)), "incomplete"},
		"201 without end":           {say(201, kind, set(fakeaws.WorkloadRole, "ASIA", "")), "no end"},
		"201 with an end that none": {say(201, kind, set(fakeaws.WorkloadRole, "ASIA", `,"expiration":"soon"`)), "does not decode"},
		"201 too long":              {say(201, kind, good+strings.Repeat(" ", maxAnswer)), "no JSON"},
		"200 with credentials":      {say(200, kind, good), "HTTP 200"},
		"302": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/"+canary, http.StatusFound)
		}, "HTTP 302"},
		"403 with HTML":      {say(403, "text/html", "<html>"+canary), "HTTP 403"},
		"403 with a code":    {say(403, kind, `{"__type":"com.amazonaws.ra#AccessDeniedException","message":"`+canary+`"}`), "revoked"},
		"403 with an escape": {say(403, kind, `{"code":"\u001b[2J"}`), `\x1b[2J`},
		"it breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusCreated)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "broke off"},
	}
	root := newAuthority(t, nil)
	id := root.leaf(t, ecKey(t), nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
			service.Inject(test.answer)
			p := provider(t, configure(t, service, fixed(id)))
			refused(t, p, test.want)
			_, err := p.Retrieve(t.Context())
			must(t, err)
		})
	}
	t.Run("what these answers are like when they are good", func(t *testing.T) {
		t.Parallel()
		service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
		service.Inject(say(201, kind, good))
		_, err := provider(t, configure(t, service, fixed(id))).Retrieve(t.Context())
		must(t, err)
	})
	t.Run("down for a moment", func(t *testing.T) {
		t.Parallel()
		service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
		service.Inject(say(503, "text/html", ""), say(500, kind, "{}"))
		_, err := provider(t, configure(t, service, fixed(id))).Retrieve(t.Context())
		must(t, err)
	})
	t.Run("nobody is there", func(t *testing.T) {
		t.Parallel()
		c := configure(t, &fakeaws.RolesAnywhere{URL: "http://127.0.0.1:1"}, fixed(id))
		refused(t, provider(t, c), "connection refused")
	})
}

// Case 19: the certificate is replaced under us.
func TestFilesAreReadForEachSession(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, nil)
	between := newAuthority(t, root)
	service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
	first, second := root.leaf(t, ecKey(t), nil), between.leaf(t, rsaKey(), nil)
	second.Chain = []*x509.Certificate{between.cert}
	dir := t.TempDir()
	certificate, key := write(t, dir, first)
	p := provider(t, configure(t, service, Files(certificate, key)))
	_, err := p.Retrieve(t.Context())
	must(t, err)
	write(t, dir, second)
	_, err = p.Retrieve(t.Context())
	must(t, err)
	if got := service.Certificates(); !got[0].Equal(first.Leaf) || !got[1].Equal(second.Leaf) {
		t.Error("not the certificates that were there")
	}

	// One of the two is there already, the other is not yet, and then it is.
	old, err := os.ReadFile(key)
	must(t, err)
	write(t, dir, first)
	fresh, err := os.ReadFile(key)
	must(t, err)
	must(t, os.WriteFile(key, old, 0o600))
	reads := 0
	files := Files(certificate, key)
	p.config.Certificate = func(ctx context.Context) (Identity, error) {
		if reads++; reads == 2 {
			must(t, os.WriteFile(key, fresh, 0o600))
		}
		return files(ctx)
	}
	_, err = p.Retrieve(t.Context())
	must(t, err)
	must(t, os.WriteFile(key, old, 0o600))
	before := service.Requests()
	refused(t, p, "one of the two was replaced alone")
	if service.Requests() != before {
		t.Error("a request with the wrong key was sent")
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, nil)
	dir := t.TempDir()
	certificate, key := write(t, dir, root.leaf(t, ecKey(t), nil))
	service := fakeaws.NewRolesAnywhere(t, root.cert, nil)
	p := provider(t, configure(t, service, Files(certificate, key)))
	text, err := os.ReadFile(key)
	must(t, err)
	put := func(path, text string, mode os.FileMode) {
		t.Helper()
		must(t, os.WriteFile(path, []byte(text), 0o600))
		must(t, os.Chmod(path, mode))
	}
	for _, bad := range []struct{ text, want string }{
		{"", "no key"},
		{string(text[:len(text)/2]), "no key"},
		{"-----BEGIN PRIVATE KEY-----\n" + canary + "\n-----END PRIVATE KEY-----\n", "no key"},
		{"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "not encrypted"},
		{strings.Repeat("x", maxFile+1), "larger than"},
	} {
		put(key, bad.text, 0o600)
		refused(t, p, bad.want, key)
	}
	if runtime.GOOS != "windows" {
		put(key, string(text), 0o640)
		refused(t, p, "0640", "set 0600")
	}
	put(key, string(text), 0o600)
	put(certificate, "nothing", 0o644)
	refused(t, p, certificate, "no CERTIFICATE")
	put(certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o644)
	refused(t, p, certificate, "certificate 1")
	must(t, os.Remove(certificate))
	refused(t, p, certificate)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Config{
		TrustAnchorARN: fakeaws.TrustAnchorARN, ProfileARN: fakeaws.ProfileARN, RoleARN: fakeaws.WorkloadRole, Certificate: Files("a", "b"),
	}
	p, err := New(good)
	must(t, err)
	if got := p.endpoint.String(); got != "https://rolesanywhere.eu-central-1.amazonaws.com" {
		t.Error(got)
	}
	must(t, p.Close())
	elsewhere := strings.ReplaceAll(fakeaws.ProfileARN, fakeaws.Region, "us-east-1")
	for want, spoil := range map[string]func(*Config){
		"TrustAnchorARN":           func(c *Config) { c.TrustAnchorARN = fakeaws.ProfileARN },
		"ProfileARN":               func(c *Config) { c.ProfileARN = "" },
		"RoleARN":                  func(c *Config) { c.RoleARN = "arn:aws:iam::123456789012:role/a b" },
		"of one account":           func(c *Config) { c.RoleARN = "arn:aws:iam::999999999999:role/workload" },
		"of one region":            func(c *Config) { c.ProfileARN = elsewhere },
		"Region too":               func(c *Config) { c.Region = "us-east-1" },
		"Certificate":              func(c *Config) { c.Certificate = nil },
		"Duration":                 func(c *Config) { c.Duration = time.Minute },
		"whole seconds":            func(c *Config) { c.Duration = time.Hour + time.Millisecond },
		"12h0m0s":                  func(c *Config) { c.Duration = 13 * time.Hour },
		"must be https":            func(c *Config) { c.Endpoint = "http://10.0.0.1" },
		"scheme and host":          func(c *Config) { c.Endpoint = "https://proxy.example/path" },
		"RoleARN: need":            func(c *Config) { c.RoleARN = "arn:aws:iam::123456789012:user/workload" },
		"TrustAnchorARN: need arn": func(c *Config) { c.TrustAnchorARN = "arn:aws:rolesanywhere:evil.example/:123456789012:trust-anchor/a" },
	} {
		c := good
		spoil(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestAProviderDoesNotPrint(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, nil)
	p := provider(t, configure(t, fakeaws.NewRolesAnywhere(t, root.cert, nil), fixed(root.leaf(t, ecKey(t), nil))))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, p); got != "rolesanywhere "+fakeaws.WorkloadRole {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

// Case 23: an identity that somebody logs shows no private key.
func TestAnIdentityDoesNotPrint(t *testing.T) {
	t.Parallel()
	id := newAuthority(t, nil).leaf(t, rsaKey(), nil)
	var said strings.Builder
	slog.New(slog.NewJSONHandler(&said, nil)).Info("x", "id", id, "p", &id, "in", map[string]any{"id": id})
	slog.New(slog.NewTextHandler(&said, nil)).Info("x", "id", id)
	fmt.Fprintf(&said, "%v %+v %#v %d", id, &id, id, []Identity{id})
	if d := rsaKey().D; strings.Contains(said.String(), d.String()) || !strings.Contains(said.String(), id.Leaf.SerialNumber.String()) {
		t.Errorf("a private key, or no certificate: %.200s", said.String())
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"credentialSet":[{"roleArn":"` + fakeaws.WorkloadRole + `","credentials":{"accessKeyId":"a","secretAccessKey":"b","sessionToken":"c","expiration":"2026-11-22T12:30:00Z"}}]}`))
	f.Add([]byte(`{"credentialSet":null}`))
	p, err := New(Config{
		TrustAnchorARN: fakeaws.TrustAnchorARN, ProfileARN: fakeaws.ProfileARN, RoleARN: fakeaws.WorkloadRole, Certificate: Files("a", "b"),
	})
	if err != nil {
		f.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	p.now = func() time.Time { return now }
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := p.decode(body)
		if err != nil {
			return
		}
		if !keys.HasKeys() || keys.SessionToken == "" || !keys.CanExpire || !keys.Expires.After(now) || keys.Expires.After(now.Add(2*time.Hour)) {
			t.Errorf("took %s until %v", keys.AccessKeyID, keys.Expires)
		}
	})
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if id, err := parseCertificates(text); err == nil && (id.Leaf == nil || len(id.Chain) > maxChain) {
			t.Error("no certificate, and no error")
		}
		if key, err := parseKey(text); (key == nil) != (err != nil) {
			t.Errorf("%v, %v", key, err)
		}
	})
}
