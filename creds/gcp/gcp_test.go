package gcp

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
)

const (
	canary   = "hunter2-canary-51ab"
	pool     = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/k8s-prod"
	email    = "reports@my-project.iam.gserviceaccount.com"
	platform = canary + ".platform.jwt"
	name     = "projects/my-project/secrets/report-key/versions/7"
	readOnly = "https://www.googleapis.com/auth/devstorage.read_only"
)

var clock = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// A fake is Google: the token service, IAM and Secret Manager in one, with a table of
// the tokens it issued and what they are good for.
type fake struct {
	mu     sync.Mutex
	url    string
	tokens map[string]string // by token: what it is
	key    *rsa.PrivateKey
	serial int
	change func(path string, answer map[string]any) // to answers that are right
	raw    map[string]string                        // answers of some paths
	status int                                      // of raw answers
	bound  string                                   // the boundary that was asked for
	life   string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{tokens: map[string]string{}, raw: map[string]string{}, status: 200, change: func(string, map[string]any) {}}
	ts := httptest.NewServer(f)
	t.Cleanup(ts.Close)
	f.url = ts.URL
	return f
}

func (f *fake) config() Config {
	return Config{
		Account:          Federation{Audience: pool, Token: creds.Static([]byte(platform)), ServiceAccount: email},
		Endpoints:        Endpoints{STS: f.url + "/sts", IAM: f.url + "/iam", Secrets: f.url + "/sm", OAuth: f.url + "/oauth/token"},
		InsecureLoopback: true,
	}
}

func (f *fake) issue(what string) string {
	f.serial++
	token := fmt.Sprintf("ya29.%s-%d", canary, f.serial)
	f.tokens[token] = what
	return token
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	reply := func(status int, body map[string]any) {
		if raw, ok := f.raw[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "application/json; charset=UTF-8")
			w.WriteHeader(f.status)
			_, _ = w.Write([]byte(raw))
			return
		}
		if status == 200 {
			f.change(r.URL.Path, body)
		}
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	refuse := func(status int, code string) {
		reply(status, map[string]any{"error": map[string]any{"code": status, "status": code, "message": canary}})
	}
	bearer := f.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	switch {
	case r.URL.Path == "/sts/v1/token":
		_ = r.ParseForm()
		g := r.PostForm.Get
		subject := f.tokens[g("subject_token")]
		switch {
		case g("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" || g("requested_token_type") != "urn:ietf:params:oauth:token-type:access_token":
			reply(400, map[string]any{"error": "invalid_request"})
		case g("audience") == pool && g("subject_token") == platform && g("subject_token_type") == "urn:ietf:params:oauth:token-type:jwt":
			reply(200, map[string]any{"access_token": f.issue("federated"), "issued_token_type": accessToken, "token_type": "Bearer", "expires_in": 3600})
		case g("options") != "" && strings.HasPrefix(subject, "impersonated"):
			f.bound = g("options")
			reply(200, map[string]any{"access_token": f.issue("narrowed"), "issued_token_type": accessToken, "token_type": "Bearer"})
		default:
			reply(400, map[string]any{"error": "invalid_grant", "error_description": g("subject_token")})
		}
	case r.URL.Path == "/iam/v1/projects/-/serviceAccounts/"+email+":generateAccessToken":
		var body struct {
			Scope    []string `json:"scope"`
			Lifetime string   `json:"lifetime"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		life, err := time.ParseDuration(body.Lifetime)
		switch {
		case bearer != "federated":
			refuse(403, "PERMISSION_DENIED")
		case len(body.Scope) == 0 || err != nil || life > time.Hour:
			refuse(400, "INVALID_ARGUMENT")
		default:
			f.life = body.Lifetime
			reply(200, map[string]any{"accessToken": f.issue("impersonated " + strings.Join(body.Scope, " ")), "expireTime": clock.Add(life).Format(time.RFC3339)})
		}
	case r.URL.Path == "/oauth/token":
		_ = r.ParseForm()
		if err := f.verify(r.PostForm.Get("assertion")); err != nil || r.PostForm.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			reply(400, map[string]any{"error": "invalid_grant", "error_description": fmt.Sprint(err)})
			return
		}
		reply(200, map[string]any{"access_token": f.issue("key " + readOnly), "token_type": "Bearer", "expires_in": 3599})
	case strings.HasPrefix(r.URL.Path, "/sm/v1/projects/my-project/secrets/report-key/versions/"):
		if bearer != "impersonated "+platformScope {
			refuse(401, "UNAUTHENTICATED")
			return
		}
		data := []byte(canary + "\x00binary")
		reply(200, map[string]any{"name": "projects/123/secrets/report-key/versions/7", "payload": map[string]any{
			"data": base64.StdEncoding.EncodeToString(data), "dataCrc32c": strconv.Itoa(int(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))),
		}})
	default:
		refuse(404, "NOT_FOUND")
	}
}

// verify checks the assertion of a service account.
func (f *fake) verify(assertion string) error {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 || f.key == nil {
		return fmt.Errorf("%d parts", len(parts))
	}
	var claims struct {
		Iss   string `json:"iss"`
		Scope string `json:"scope"`
		Aud   string `json:"aud"`
		Iat   int64  `json:"iat"`
		Exp   int64  `json:"exp"`
	}
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&f.key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return err
	}
	if claims.Iss != email || claims.Scope != readOnly || claims.Aud != f.url+"/oauth/token" || claims.Iat != clock.Unix() || claims.Exp > clock.Add(time.Hour).Unix() {
		return fmt.Errorf("claims %+v", claims)
	}
	return nil
}

func newToken(t *testing.T, conf Config, want Token) *token {
	t.Helper()
	p := AccessToken(conf, want).(*token)
	p.now = func() time.Time { return clock }
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func newSecret(t *testing.T, conf Config, name string) *secret {
	t.Helper()
	p := Secret(conf, name).(*secret)
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

func TestImpersonation(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := newToken(t, f.config(), Token{Scopes: []string{readOnly}})
	m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.tokens[string(m.Secret.Reveal())]; got != "impersonated "+readOnly || f.life != "900s" || !m.Expires.Equal(clock.Add(15*time.Minute)) || m.Record.Role != email {
		t.Errorf("%q, life %s, %+v", got, f.life, m)
	}
	if a, err := p.Probe(t.Context(), creds.Spec{}); err != nil || a.Identity != email || a.Rules[0].Actions[0] != readOnly {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestBoundary(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := newToken(t, f.config(), Token{Scopes: []string{platformScope}, Boundary: []Rule{
		Bucket("reports", "2026/", "inRole:roles/storage.objectViewer"), Bucket("logs", "", "inRole:roles/storage.objectCreator"),
	}})
	m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
	if err != nil || f.tokens[string(m.Secret.Reveal())] != "narrowed" || !m.Expires.Equal(clock.Add(15*time.Minute)) {
		t.Fatalf("%+v, %v", m, err)
	}
	const want = `{"accessBoundary":{"accessBoundaryRules":[{"availablePermissions":["inRole:roles/storage.objectViewer"],` +
		`"availableResource":"//storage.googleapis.com/projects/_/buckets/reports","availabilityCondition":{"expression":` +
		`"resource.name.startsWith('projects/_/buckets/reports/objects/2026/') || api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('2026/')"}},` +
		`{"availablePermissions":["inRole:roles/storage.objectCreator"],"availableResource":"//storage.googleapis.com/projects/_/buckets/logs"}]}}`
	if f.bound != want || !strings.HasPrefix(m.Record.Policy, "sha256:") {
		t.Errorf("sent %s", f.bound)
	}
	for attack, rule := range map[string]Rule{
		"prefix that ends the string": Bucket("reports", "') || true || ('", "inRole:roles/storage.objectViewer"),
		"prefix with a backslash":     Bucket("reports", `\`, "inRole:roles/storage.objectViewer"),
		"prefix that climbs":          Bucket("reports", "../", "inRole:roles/storage.objectViewer"),
		"bucket with a quote":         Bucket("re'ports", "", "inRole:roles/storage.objectViewer"),
		"any bucket":                  Bucket("*", "", "inRole:roles/storage.objectViewer"),
		"no permission":               Bucket("reports", ""),
		"permission that is none":     Bucket("reports", "", "storage.objects.get"),
	} {
		p := newToken(t, f.config(), Token{Scopes: []string{platformScope}, Boundary: []Rule{rule}})
		wantError(t, attack, p.Check(creds.Spec{}), "gcp: ")
		if _, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{}); err == nil {
			t.Errorf("%s: issued", attack)
		}
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for _, version := range []string{"7", "latest"} {
		p := newSecret(t, f.config(), "projects/my-project/secrets/report-key/versions/"+version)
		m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
		if err != nil || string(m.Secret.Reveal()) != canary+"\x00binary" || m.Version != "7" || !m.Expires.Equal(clock.Add(Keep)) {
			t.Errorf("%q, %+v, %v", m.Secret.Reveal(), m, err)
		}
	}
	p := newSecret(t, f.config(), "projects/my-project/secrets/report-key/versions/8")
	_, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
	wantError(t, "another version", err, "another secret or version")
	if a, err := newSecret(t, f.config(), "projects/my-project/secrets/report-key/versions/latest").Probe(t.Context(), creds.Spec{}); err != nil || len(a.Notes) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

// oneKey is for all tests: making one takes a while.
var oneKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func keyFile(t *testing.T, change func(map[string]string)) (*rsa.PrivateKey, []byte) {
	t.Helper()
	key, err := oneKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := map[string]string{
		"type": "service_account", "client_email": email, "private_key_id": "k1", "token_uri": "https://evil.example/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
	change(file)
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return key, text
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	for fault, change := range map[string]func(map[string]string){
		"":                 func(map[string]string) {},
		"another account":  func(m map[string]string) { m["client_email"] = "evil@x.iam.gserviceaccount.com" },
		"not the key of a": func(m map[string]string) { m["type"] = "authorized_user" },
		"not one PEM":      func(m map[string]string) { m["private_key"] = canary },
		"not PKCS": func(m map[string]string) {
			m["private_key"] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
		},
		"key id is too long": func(m map[string]string) { m["private_key_id"] = strings.Repeat("k", 200) },
	} {
		f := newFake(t)
		key, text := keyFile(t, change)
		f.key = key
		conf := f.config()
		conf.Account = KeyFile{Key: creds.Static(text), ServiceAccount: email}
		p := newToken(t, conf, Token{Scopes: []string{readOnly}})
		m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
		if fault != "" {
			wantError(t, fault, err, fault)
			continue
		}
		if err != nil || f.tokens[string(m.Secret.Reveal())] != "key "+readOnly || !m.Expires.Equal(clock.Add(15*time.Minute)) {
			t.Errorf("%+v, %v", m, err)
		}
		if a, _ := p.Describe(creds.Spec{}, creds.Request{}); !strings.Contains(strings.Join(a.Notes, " "), "Federation") {
			t.Errorf("no note: %+v", a)
		}
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	t.Parallel()
	const sts, iam, sm = "/sts/v1/token", "/iam/v1/projects/-/serviceAccounts/" + email + ":generateAccessToken", "/sm/v1/" + name + ":access"
	tests := []struct {
		attack, path, member string
		value                any
		want                 string
	}{
		{"platform's token passed on", sts, "access_token", platform, "gives back"},
		{"refresh token", sts, "issued_token_type", "urn:ietf:params:oauth:token-type:refresh_token", "not an access token"},
		{"no life", sts, "expires_in", nil, "does not say"},
		{"life of a year", sts, "expires_in", 31536000, "life of"},
		{"token type MAC", sts, "token_type", "MAC", "Bearer"},
		{"no token", sts, "access_token", nil, "is empty"},
		{"no token from IAM", iam, "accessToken", nil, "is empty"},
		{"token that breaks a header", iam, "accessToken", canary + "\r\n", "visible ASCII"},
		{"no end", iam, "expireTime", nil, "is the clock right"},
		{"end in the past", iam, "expireTime", clock.Add(-time.Hour).Format(time.RFC3339), "is the clock right"},
		{"12 hours instead of 15 minutes", iam, "expireTime", clock.Add(12 * time.Hour).Format(time.RFC3339), "is the clock right"},
		{"end that is no time", iam, "expireTime", canary, "cannot be used"},
		{"another secret", sm, "name", "projects/123/secrets/other/versions/7", "another secret"},
		{"another version", sm, "name", "projects/123/secrets/report-key/versions/8", "another secret"},
		{"damaged", sm, "payload", map[string]any{"data": base64.StdEncoding.EncodeToString([]byte(canary)), "dataCrc32c": "1"}, "damaged"},
		{"no checksum", sm, "payload", map[string]any{"data": base64.StdEncoding.EncodeToString([]byte(canary))}, "damaged"},
		{"no base64", sm, "payload", map[string]any{"data": canary + "!", "dataCrc32c": "1"}, "not base64"},
		{"empty", sm, "payload", map[string]any{"data": "", "dataCrc32c": "0"}, "empty"},
	}
	for _, test := range tests {
		f := newFake(t)
		f.change = func(path string, answer map[string]any) {
			if path == test.path {
				if answer[test.member] = test.value; test.value == nil {
					delete(answer, test.member)
				}
			}
		}
		m, err := newSecret(t, f.config(), name).Issue(t.Context(), creds.Spec{}, creds.Request{})
		wantError(t, test.attack, err, test.want)
		if !m.Secret.Empty() {
			t.Errorf("%s: issued", test.attack)
		}
	}
	for _, body := range []string{"", "null", "[]", "<html>" + canary, `{"a":1,"a":2}`, strings.Repeat("[", 9999)} {
		for _, path := range []string{sts, iam, sm} {
			for _, status := range []int{200, 403, 500} {
				f := newFake(t)
				f.raw[path], f.status = body, status
				_, err := newSecret(t, f.config(), name).Issue(t.Context(), creds.Spec{}, creds.Request{})
				wantError(t, path, err, strconv.Itoa(status))
			}
		}
	}
}

func TestRefusalsAreExplained(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	conf := f.config()
	conf.Account = Federation{Audience: pool, Token: creds.Static([]byte(canary + "-wrong")), ServiceAccount: email}
	_, err := newSecret(t, conf, name).Issue(t.Context(), creds.Spec{}, creds.Request{})
	wantError(t, "wrong platform token", err, "HTTP 400 invalid_grant")
	conf = f.config()
	conf.Account = Federation{Audience: pool, Token: creds.Static([]byte(platform)), ServiceAccount: "other@my-project.iam.gserviceaccount.com"}
	_, err = newSecret(t, conf, name).Issue(t.Context(), creds.Spec{}, creds.Request{})
	wantError(t, "another account", err, "HTTP 404 NOT_FOUND")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newSecret(t, f.config(), name).Issue(ctx, creds.Spec{}, creds.Request{}); err == nil {
		t.Error("no error")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	good := Token{Scopes: []string{readOnly}}
	for want, change := range map[string]func(*Config, *Token){
		"Account is missing": func(c *Config, _ *Token) { c.Account = nil },
		"is not the e-mail": func(c *Config, _ *Token) {
			c.Account = Federation{Audience: pool, Token: creds.Static([]byte("x")), ServiceAccount: "me@example.com/../x"}
		},
		"Federation.Token is": func(c *Config, _ *Token) { c.Account = Federation{Audience: pool, ServiceAccount: email} },
		"Federation.Audience": func(c *Config, _ *Token) {
			c.Account = Federation{Audience: "x", Token: creds.Static([]byte("x")), ServiceAccount: email}
		},
		"KeyFile.Key is":                  func(c *Config, _ *Token) { c.Account = KeyFile{ServiceAccount: email} },
		"must begin with https":           func(c *Config, _ *Token) { c.InsecureLoopback = false },
		"0 scopes":                        func(_ *Config, t *Token) { t.Scopes = nil },
		"is not \"https://www.googleapis": func(_ *Config, t *Token) { t.Scopes = []string{"openid"} },
		"Lifetime is 12h":                 func(_ *Config, t *Token) { t.Lifetime = 12 * time.Hour },
		"Boundary has 11":                 func(_ *Config, t *Token) { t.Boundary = slices.Repeat([]Rule{Bucket("abc", "", "inRole:roles/x")}, 11) },
	} {
		conf, token := f.config(), good
		change(&conf, &token)
		wantError(t, want, newToken(t, conf, token).Check(creds.Spec{}), want)
	}
	if err := newToken(t, f.config(), good).Check(creds.NewSpec("n", nil)); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "projects/p/secrets/s", "projects/p/secrets/s/versions/0", "projects/p/secrets/../versions/1", name + ":destroy", name + "?x", "/" + name} {
		wantError(t, name, newSecret(t, f.config(), name).Check(creds.Spec{}), "is not \"projects/P")
	}
}

func TestPlans(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	seen := map[string]int{}
	for i, token := range []Token{
		{Scopes: []string{readOnly}}, {Scopes: []string{platformScope}}, {Scopes: []string{readOnly}, Lifetime: time.Hour},
		{Scopes: []string{readOnly}, Boundary: []Rule{Bucket("abc", "", "inRole:roles/x")}}, {Scopes: []string{readOnly}, Boundary: []Rule{Bucket("abd", "", "inRole:roles/x")}},
	} {
		plan, err := newToken(t, f.config(), token).Plan(creds.Spec{}, creds.Request{})
		if other, twice := seen[plan]; twice || err != nil || len(plan) > 1024 {
			t.Errorf("%d and %d: %q, %v", i, other, plan, err)
		}
		seen[plan] = i
	}
}

func FuzzSecretAnswer(f *testing.F) {
	f.Add([]byte(`{"name":"projects/123/secrets/report-key/versions/7","payload":{"data":"YQ==","dataCrc32c":"3251651376"}}`))
	p := Secret(Config{Account: Federation{ServiceAccount: email}}, name).(*secret)
	f.Fuzz(func(t *testing.T, body []byte) {
		var answer secretAnswer
		if decode(body, &answer) != nil {
			return
		}
		if m, err := p.accept(answer); (err == nil) == m.Secret.Empty() || err == nil && m.Version != "7" {
			t.Fatalf("%+v, %v", m, err)
		}
	})
}

// A list of rules that was computed and came out empty asks for a token that may do
// nothing. It must not become one that may do everything.
func TestEmptyBoundaryIsNotNoBoundary(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := newToken(t, f.config(), Token{Scopes: []string{platformScope}, Boundary: []Rule{}})
	wantError(t, "empty boundary", p.Check(creds.Spec{}), "Boundary")
	if m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{}); err == nil {
		m.Secret.Close()
		t.Error("a token without boundary was issued")
	}
}

// A project that was asked for by number is the one that answers; by name, Google puts
// its number, which cannot be compared.
func TestSecretOfAnotherProject(t *testing.T) {
	t.Parallel()
	for asked, answers := range map[string]map[string]bool{
		"123":        {"123": true, "124": false, "my-project": false},
		"my-project": {"123": true, "my-project": true, "other": false},
	} {
		for project, want := range answers {
			if got := sameProject(asked, project); got != want {
				t.Errorf("%s for %s: %t", project, asked, got)
			}
		}
	}
	f := newFake(t)
	p := newSecret(t, f.config(), "projects/124/secrets/report-key/versions/7")
	data := secretAnswer{Name: "projects/123/secrets/report-key/versions/7"}
	_, err := p.accept(data)
	wantError(t, "another project", err, "another secret")
}

func TestPlanCostsNothing(t *testing.T) { //nolint:paralleltest // it counts allocations
	f := newFake(t)
	for what, p := range map[string]creds.Planner{
		"token":  newToken(t, f.config(), Token{Scopes: []string{readOnly}, Boundary: []Rule{Bucket("reports", "2026/", "inRole:roles/storage.objectViewer")}}),
		"secret": newSecret(t, f.config(), name),
	} {
		if n := testing.AllocsPerRun(100, func() { _, _ = p.Plan(creds.Spec{}, creds.Request{}) }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
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
	from := source{creds.Static([]byte(platform)), &closed}
	for _, account := range []Account{Federation{Audience: pool, Token: from, ServiceAccount: email}, KeyFile{Key: from, ServiceAccount: email}} {
		before := closed
		if err := Secret(Config{Account: account}, name).(*secret).Close(); err != nil || closed != before+1 {
			t.Errorf("%T: closed %d times, %v", account, closed-before, err)
		}
	}
	if err := Secret(Config{}, name).(*secret).Close(); err != nil {
		t.Error(err)
	}
}
