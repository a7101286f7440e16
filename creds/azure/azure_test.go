package azure

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

const (
	canary   = "hunter2-canary-e07d"
	tenant   = "11111111-2222-3333-4444-555555555555"
	client   = "66666666-7777-8888-9999-000000000000"
	platform = canary + ".platform.jwt"
	version  = "0123456789abcdef0123456789abcdef"
	storage  = "https://storage.azure.com/.default"
)

var clock = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// A fake is Entra ID and one Key Vault, with checks of its own.
type fake struct {
	mu     sync.Mutex
	url    string
	cert   *x509.Certificate
	jtis   map[string]bool
	tokens map[string]string // by token: its scope
	change func(path string, answer map[string]any)
	raw    map[string]string
	status int
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{jtis: map[string]bool{}, tokens: map[string]string{}, raw: map[string]string{}, status: 200, change: func(string, map[string]any) {}}
	ts := httptest.NewServer(f)
	t.Cleanup(ts.Close)
	f.url = ts.URL
	return f
}

const (
	tokenPath  = "/" + tenant + "/oauth2/v2.0/token"
	secretPath = "/secrets/report-key"
)

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	reply := func(status int, body map[string]any) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		if raw, ok := f.raw[r.URL.Path]; ok {
			w.WriteHeader(f.status)
			_, _ = w.Write([]byte(raw))
			return
		}
		if status == 200 {
			f.change(r.URL.Path, body)
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	switch {
	case r.URL.Path == tokenPath && r.Method == http.MethodPost:
		_ = r.ParseForm()
		g := r.PostForm.Get
		if g("grant_type") != "client_credentials" || g("client_id") != client || g("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			reply(400, map[string]any{"error": "invalid_request", "error_codes": []int{900144}})
			return
		}
		if a := g("client_assertion"); a != platform && f.verify(a) != nil {
			reply(401, map[string]any{"error": "invalid_client", "error_description": canary + fmt.Sprint(f.verify(a)), "error_codes": []int{700027}})
			return
		}
		token := fmt.Sprintf("eyJ%s-%d", canary, len(f.tokens))
		f.tokens[token] = g("scope")
		reply(200, map[string]any{"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token})
	case strings.HasPrefix(r.URL.Path, secretPath) && r.Method == http.MethodGet:
		switch {
		case f.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] != "https://vault.azure.net/.default":
			reply(401, map[string]any{"error": map[string]any{"code": "Unauthorized", "message": canary}})
		case r.URL.Query().Get("api-version") != "7.4":
			reply(400, map[string]any{"error": map[string]any{"code": "BadParameter"}})
		case r.URL.Path != secretPath && r.URL.Path != secretPath+"/"+version:
			reply(404, map[string]any{"error": map[string]any{"code": "SecretNotFound", "message": canary}})
		default:
			reply(200, map[string]any{
				"value": canary + `"ü`, "id": f.url + secretPath + "/" + version,
				"attributes": map[string]any{"enabled": true, "created": 1, "recoveryLevel": "Recoverable"},
			})
		}
	default:
		reply(403, map[string]any{"error": map[string]any{"code": "Forbidden", "innererror": map[string]any{"code": "ForbiddenByRbac"}}})
	}
}

// verify checks an assertion that the certificate's key has signed.
func (f *fake) verify(assertion string) error {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 || f.cert == nil {
		return errors.New("parts")
	}
	var header map[string]any
	var claims struct {
		Aud string `json:"aud"`
		Iss string `json:"iss"`
		Sub string `json:"sub"`
		Jti string `json:"jti"`
		Nbf int64  `json:"nbf"`
		Exp int64  `json:"exp"`
	}
	part := func(i int) []byte { raw, _ := base64.RawURLEncoding.DecodeString(parts[i]); return raw }
	if err := errors.Join(json.Unmarshal(part(0), &header), json.Unmarshal(part(1), &claims)); err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	thumb := sha256.Sum256(f.cert.Raw)
	if header["alg"] != "PS256" || header["typ"] != "JWT" || header["x5t#S256"] != base64.RawURLEncoding.EncodeToString(thumb[:]) {
		return fmt.Errorf("header %v", header)
	}
	if claims.Aud != f.url+tokenPath || claims.Iss != client || claims.Sub != client || claims.Nbf != clock.Unix() || claims.Exp > clock.Add(10*time.Minute).Unix() {
		return fmt.Errorf("claims %+v", claims)
	}
	if err := rsa.VerifyPSS(f.cert.PublicKey.(*rsa.PublicKey), crypto.SHA256, digest[:], part(2), nil); err != nil {
		return err
	}
	if f.jtis[claims.Jti] {
		return errors.New("replay")
	}
	f.jtis[claims.Jti] = true
	return nil
}

func (f *fake) app() Application {
	return Application{Tenant: tenant, ClientID: client, Proof: Workload(creds.Static([]byte(platform))), Authority: f.url, InsecureLoopback: true}
}

func newToken(t *testing.T, app Application, scope string) *token {
	t.Helper()
	p := AccessToken(app, scope).(*token)
	p.now = func() time.Time { return clock }
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func newSecret(t *testing.T, f *fake, version string) *secret {
	t.Helper()
	p := (&secret{directory: newDirectory(f.app()), vault: "my-vault", name: "report-key", version: version}).at(f.url)
	p.now = func() time.Time { return clock }
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func wantError(t *testing.T, what string, err error, part string) {
	t.Helper()
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "hunter2") {
		t.Errorf("%s: a secret is in the error: %s", what, text)
	}
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("%s: got %v, want an error with %q", what, err, part)
	}
}

func certificate(t *testing.T, ends time.Time) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, NotBefore: clock.Add(-time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestProofs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	cert, key := certificate(t, clock.Add(time.Hour))
	f.cert = cert
	for name, proof := range map[string]Proof{"workload": Workload(creds.Static([]byte(platform))), "certificate": Certificate(cert, key)} {
		app := f.app()
		app.Proof = proof
		p := newToken(t, app, storage)
		for range 2 {
			m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
			if err != nil || f.tokens[string(m.Secret.Reveal())] != storage || !m.Expires.Equal(clock.Add(3599*time.Second)) || m.Record.Role != client {
				t.Errorf("%s: %+v, %v", name, m, err)
			}
		}
		if a, err := p.Probe(t.Context(), creds.Spec{}); err != nil || a.Lifetime != 3599*time.Second {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	app := f.app()
	app.Proof = Workload(creds.Static([]byte(canary + "-wrong")))
	_, err := newToken(t, app, storage).Issue(t.Context(), creds.Spec{}, creds.Request{})
	wantError(t, "wrong token", err, "HTTP 401 invalid_client AADSTS700027")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	cert, key := certificate(t, clock.Add(time.Hour))
	old, oldKey := certificate(t, clock.Add(-time.Minute))
	for want, change := range map[string]func(*Application){
		"Proof is missing":                 func(a *Application) { a.Proof = Proof{} },
		"token of the workload is missing": func(a *Application) { a.Proof = Workload(nil) },
		"certificate is missing":           func(a *Application) { a.Proof = Certificate(nil, key) },
		"missing or not RSA":               func(a *Application) { a.Proof = Certificate(cert, nil) },
		"not that of the certificate":      func(a *Application) { a.Proof = Certificate(cert, oldKey) },
		"renew it":                         func(a *Application) { a.Proof = Certificate(old, oldKey) },
		"no id and no domain":              func(a *Application) { a.Tenant = "../" + tenant },
		"any tenant":                       func(a *Application) { a.Tenant = "common" },
		"not a UUID":                       func(a *Application) { a.ClientID = "x" },
		"must begin with https":            func(a *Application) { a.InsecureLoopback = false },
	} {
		app := f.app()
		change(&app)
		p := newToken(t, app, storage)
		wantError(t, want, p.Check(creds.Spec{}), want)
		if _, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{}); err == nil {
			t.Errorf("%s: issued", want)
		}
	}
	for _, scope := range []string{"", "openid", "https://storage.azure.com", "https://a b/.default", "http://x/.default", "https://x/.default https://y/.default"} {
		wantError(t, scope, newToken(t, f.app(), scope).Check(creds.Spec{}), "is not \"https://RESOURCE")
	}
	for _, s := range [][3]string{{"evil.example/x", "n", ""}, {"v", "n", ""}, {"my-vault", "../keys", ""}, {"my-vault", "n", "latest"}} {
		p := Secret(f.app(), s[0], s[1], s[2]).(*secret)
		p.now = func() time.Time { return clock }
		wantError(t, s[0]+s[1], p.Check(creds.Spec{}), "azure: ")
		if _, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{}); err == nil {
			t.Errorf("%v: issued", s)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	foreign := f.app()
	foreign.VaultDomain = "evil.example"
	wantError(t, "foreign vault", Secret(foreign, "my-vault", "n", "").(creds.Checker).Check(creds.Spec{}), "none of Azure's")
	foreign.VaultDomain = "vault.azure.cn"
	if got := Secret(foreign, "my-vault", "n", "").(*secret).keys.Origin(); got != "https://my-vault.vault.azure.cn:443" {
		t.Error(got)
	}
	if got := Secret(f.app(), "my-vault", "n", "").(*secret).keys.Origin(); got != "https://my-vault.vault.azure.net:443" {
		t.Error(got)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for _, v := range []string{"", version} {
		p := newSecret(t, f, v)
		m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
		if err != nil || string(m.Secret.Reveal()) != canary+`"ü` || m.Version != version || !m.Expires.Equal(clock.Add(Keep)) {
			t.Errorf("%q, %+v, %v", m.Secret.Reveal(), m, err)
		}
		if a, err := p.Probe(t.Context(), creds.Spec{}); err != nil || (len(a.Notes) == 1) != (v == "") {
			t.Errorf("%+v, %v", a, err)
		}
	}
	_, err := newSecret(t, f, strings.Repeat("f", 32)).Issue(t.Context(), creds.Spec{}, creds.Request{})
	wantError(t, "another version", err, "HTTP 404 SecretNotFound")
}

func TestAnswersThatAreRefused(t *testing.T) {
	t.Parallel()
	seconds := func(d time.Duration) int64 { return clock.Add(d).Unix() }
	tests := []struct {
		attack, path, member string
		value                any
		want                 string
	}{
		{"assertion passed on", tokenPath, "access_token", platform, "gives back"},
		{"no life", tokenPath, "expires_in", nil, "does not say"},
		{"life of a week", tokenPath, "expires_in", 604800, "life of"},
		{"token type pop", tokenPath, "token_type", "pop", "Bearer"},
		{"no token", tokenPath, "access_token", nil, "is empty"},
		{"token that breaks a header", tokenPath, "access_token", canary + "\n", "visible ASCII"},
		{"another vault", secretPath, "id", "https://evil.example/secrets/report-key/" + version, "another vault"},
		{"another secret", secretPath, "id", "SELF/secrets/other/" + version, "another secret"},
		{"no version", secretPath, "id", "SELF/secrets/report-key/", "another secret"},
		{"disabled", secretPath, "attributes", map[string]any{"enabled": false}, "disabled"},
		{"no attributes", secretPath, "attributes", nil, "disabled"},
		{"expired", secretPath, "attributes", map[string]any{"enabled": true, "exp": seconds(-time.Second)}, "has expired"},
		{"not in force yet", secretPath, "attributes", map[string]any{"enabled": true, "nbf": seconds(time.Hour)}, "not in force"},
		{"empty", secretPath, "value", "", "empty"},
		{"no value", secretPath, "value", nil, "empty"},
		{"value is an object", secretPath, "value", map[string]any{"x": canary}, "cannot be used"},
	}
	for _, test := range tests {
		f := newFake(t)
		f.change = func(path string, answer map[string]any) {
			if path != test.path {
				return
			}
			if text, ok := test.value.(string); ok {
				test.value = strings.Replace(text, "SELF", f.url, 1)
			}
			if answer[test.member] = test.value; test.value == nil {
				delete(answer, test.member)
			}
		}
		m, err := newSecret(t, f, "").Issue(t.Context(), creds.Spec{}, creds.Request{})
		wantError(t, test.attack, err, test.want)
		if !m.Secret.Empty() {
			t.Errorf("%s: issued", test.attack)
		}
	}
	for _, body := range []string{"", "null", "[]", "<html>" + canary, `{"a":1,"a":2}`, `{"error":{"code":"` + canary + `"},"error_codes":[1e99,"x"]}`} {
		for _, path := range []string{tokenPath, secretPath} {
			for _, status := range []int{200, 401, 503} {
				f := newFake(t)
				f.raw[path], f.status = body, status
				_, err := newSecret(t, f, "").Issue(t.Context(), creds.Spec{}, creds.Request{})
				if status != 200 || !strings.HasPrefix(body, `{"error"`) {
					wantError(t, path+body, err, strconv.Itoa(status))
				}
				wantError(t, path+body, err, "azure: ")
			}
		}
	}
	f := newFake(t)
	f.change = func(path string, answer map[string]any) {
		if path == secretPath {
			answer["attributes"] = map[string]any{"enabled": true, "exp": seconds(time.Minute)}
		}
	}
	if m, err := newSecret(t, f, "").Issue(t.Context(), creds.Spec{}, creds.Request{}); err != nil || !m.Expires.Equal(clock.Add(time.Minute)) {
		t.Errorf("kept beyond its end: %v, %v", m.Expires, err)
	}
}

func TestPlans(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	other := f.app()
	other.Tenant = "example.onmicrosoft.com"
	seen := map[string]bool{}
	for _, p := range []creds.Planner{
		newToken(t, f.app(), storage), newToken(t, f.app(), "https://vault.azure.net/.default"), newToken(t, other, storage), newSecret(t, f, ""), newSecret(t, f, version),
	} {
		plan, err := p.Plan(creds.Spec{}, creds.Request{})
		if seen[plan] || err != nil {
			t.Errorf("%q, %v", plan, err)
		}
		seen[plan] = true
	}
}

func TestPlanCostsNothing(t *testing.T) { //nolint:paralleltest // it counts allocations
	f := newFake(t)
	for what, p := range map[string]creds.Planner{"token": newToken(t, f.app(), storage), "secret": newSecret(t, f, version)} {
		if n := testing.AllocsPerRun(100, func() { _, _ = p.Plan(creds.Spec{}, creds.Request{}) }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"value":"v","id":"https://my-vault.vault.azure.net/secrets/n/` + version + `","attributes":{"enabled":true,"exp":1793534500}}`))
	f.Add([]byte(`{"access_token":"a","token_type":"Bearer","expires_in":60}`))
	p := Secret(Application{Tenant: tenant, ClientID: client}, "my-vault", "n", "").(*secret)
	p.now = func() time.Time { return clock }
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = oauthCode(body), vaultCode(body)
		var s secretAnswer
		if rest.Decode(body, &s) == nil {
			if m, err := p.accept(s); (err == nil) == m.Secret.Empty() || err == nil && (m.Expires.After(clock.Add(Keep)) || len(m.Version) != 32) {
				t.Fatalf("%+v, %v", m, err)
			}
		}
		var a tokenAnswer
		if rest.Decode(body, &a) == nil {
			if end, err := a.accept(clock, "sent"); err == nil && (len(a.Token) == 0 || end.After(clock.Add(rest.MaxLife))) {
				t.Fatalf("until %v", end)
			}
		}
	})
}

// A source counts how often it was closed.
type source struct {
	creds.Provider
	closed *int
}

func (s source) Close() error {
	*s.closed++
	return nil
}

func TestSourceIsClosed(t *testing.T) {
	t.Parallel()
	closed := 0
	app := Application{Tenant: tenant, ClientID: client, Proof: Workload(source{creds.Static([]byte("t")), &closed})}
	if err := AccessToken(app, storage).(*token).Close(); err != nil || closed != 1 {
		t.Errorf("closed %d times, %v", closed, err)
	}
}
