package oauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const (
	canary  = "hunter2-canary-9d2e"
	subject = canary + "-subject"
	actor   = canary + "-actor"
	clock   = 1793534400 // 2026-11-01
)

// A fake is an authorization server that checks every request by the RFCs, with code
// of its own, and answers with what the test puts into it.
type fake struct {
	url      string
	key      crypto.PublicKey // of the client, for private_key_jwt
	secret   string           // for client_secret_basic
	wantsTLS bool             // for tls_client_auth

	mu     sync.Mutex
	answer map[string]any // added to, or taken from if nil, a good answer
	status int
	body   string // answers with this, if set
	jtis   map[string]bool
	last   url.Values
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{answer: map[string]any{}, jtis: map[string]bool{}, secret: canary + ":secret&+%"}
	ts := httptest.NewServer(f)
	t.Cleanup(ts.Close)
	f.url = ts.URL + "/token"
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	reply := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	refuse := func(code, why string) {
		reply(http.StatusBadRequest, map[string]string{"error": code, "error_description": why + " " + canary})
	}
	if r.Method != http.MethodPost || r.ParseForm() != nil || r.URL.RawQuery != "" {
		refuse("invalid_request", "a POST form")
		return
	}
	f.last = r.PostForm
	if err := f.authenticate(r); err != nil {
		refuse("invalid_client", err.Error())
		return
	}
	good := map[string]any{"access_token": canary + "-issued", "token_type": "Bearer", "expires_in": 600}
	switch r.PostForm.Get("grant_type") {
	case "client_credentials":
	case "urn:ietf:params:oauth:grant-type:token-exchange":
		if r.PostForm.Get("subject_token") != subject || r.PostForm.Get("subject_token_type") != AccessToken {
			refuse("invalid_grant", "subject token")
			return
		}
		if a := r.PostForm.Get("actor_token"); a != "" && (a != actor || r.PostForm.Get("actor_token_type") != JWT) {
			refuse("invalid_request", "actor token")
			return
		}
		good["issued_token_type"] = AccessToken
	default:
		refuse("unsupported_grant_type", "")
		return
	}
	if f.body != "" || f.status != 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(max(f.status, 200))
		_, _ = w.Write([]byte(f.body))
		return
	}
	for name, value := range f.answer {
		if good[name] = value; value == nil {
			delete(good, name)
		}
	}
	reply(http.StatusOK, good)
}

// authenticate checks the client by whichever method it uses.
func (f *fake) authenticate(r *http.Request) error {
	if id, secret, ok := r.BasicAuth(); ok {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
		if id != "client:1" || secret != f.secret || r.PostForm.Has("client_id") {
			return errors.New("basic")
		}
		return nil
	}
	if r.PostForm.Get("client_id") != "client:1" {
		return errors.New("client_id")
	}
	if f.wantsTLS {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			return errors.New("certificate")
		}
		return nil
	}
	parts := strings.Split(r.PostForm.Get("client_assertion"), ".")
	if len(parts) != 3 || r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return errors.New("assertion")
	}
	var header struct {
		Alg, Kid string
	}
	var claims struct {
		Iss, Sub, Aud, Jti string
		Iat, Exp           int64
	}
	decode := func(text string, v any) error {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || v == nil {
			return err
		}
		return json.Unmarshal(raw, v)
	}
	if err := errors.Join(decode(parts[0], &header), decode(parts[1], &claims)); err != nil {
		return err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	ok := false
	switch key := f.key.(type) {
	case *ecdsa.PublicKey:
		ok = header.Alg == "ES256" && len(signature) == 64 &&
			ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		ok = header.Alg == "EdDSA" && ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), signature)
	case *rsa.PublicKey:
		ok = header.Alg == "RS256" && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	}
	switch {
	case !ok || header.Kid != "key-1":
		return errors.New("signature")
	case claims.Iss != "client:1" || claims.Sub != "client:1" || claims.Aud != f.url:
		return errors.New("claims")
	case claims.Iat != clock || claims.Exp <= clock || claims.Exp > clock+300:
		return errors.New("times")
	case claims.Jti == "" || f.jtis[claims.Jti]:
		return errors.New("replay")
	}
	f.jtis[claims.Jti] = true
	return nil
}

func (f *fake) config() Config {
	return Config{
		TokenURL: f.url, ClientID: "client:1", Auth: ClientSecret(creds.Static([]byte(f.secret))), InsecureLoopback: true,
		Audience: []string{"https://calendar.example"}, Scopes: []string{"calendar.read", "calendar.list"},
	}
}

func newExchange(t *testing.T, conf Config) *exchange {
	t.Helper()
	e := Exchange(conf).(*exchange)
	e.now = func() time.Time { return time.Unix(clock, 0) }
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func request(token string) creds.Request {
	return creds.Request{Subject: creds.NewValue([]byte(token)), Principal: mcpsec.Principal{Rung: mcpsec.Token, Subject: "alice"}}
}

func noCanary(t *testing.T, err error) {
	t.Helper()
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "hunter2") {
		t.Errorf("a secret is in the error: %s", text)
	}
}

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	noCanary(t, err)
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want an error with %q", err, part)
	}
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rs, _ := rsa.GenerateKey(rand.Reader, 2048)
	for name, key := range map[string]crypto.Signer{"ES256": ec, "EdDSA": ed, "RS256": rs} {
		f := newFake(t)
		f.key = key.Public()
		conf := f.config()
		conf.Auth = PrivateKey(key, "key-1")
		e := newExchange(t, conf)
		for range 2 { // an assertion is not used twice
			if _, err := e.Issue(t.Context(), creds.Spec{}, request(subject)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	f := newFake(t)
	if _, err := newExchange(t, f.config()).Issue(t.Context(), creds.Spec{}, request(subject)); err != nil {
		t.Errorf("client secret: %v", err)
	}
	conf := f.config()
	conf.Auth = ClientSecret(creds.Static([]byte(canary + "-wrong")))
	_, err := newExchange(t, conf).Issue(t.Context(), creds.Spec{}, request(subject))
	wantError(t, err, "HTTP 400 invalid_client")
}

// A configuration that somebody logs must not show the key.
func TestConfigurationsDoNotPrintKeys(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	conf := Config{ClientID: "c", Auth: PrivateKey(key, "k"), Actor: creds.Static([]byte(canary))}
	secret, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	d := new(big.Int).SetBytes(secret)
	for _, v := range []any{conf, &conf, conf.Auth, Exchange(conf), *newServer(conf)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			out := fmt.Sprintf(verb, v)
			if strings.Contains(out, "hunter2") || strings.Contains(out, d.String()) || strings.Contains(out, fmt.Sprintf("%x", d)) {
				t.Errorf("%s of %T shows the key", verb, v)
			}
		}
	}
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.wantsTLS = true
	ts := httptest.NewUnstartedServer(f)
	ts.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}
	ts.StartTLS()
	t.Cleanup(ts.Close)
	conf := f.config()
	conf.TokenURL = ts.URL + "/token"
	conf.Roots = pemOf(ts.Certificate().Raw)
	conf.Auth = Certificate(func() (*tls.Certificate, error) { return &ts.TLS.Certificates[0], nil })
	if _, err := newExchange(t, conf).Issue(t.Context(), creds.Spec{}, request(subject)); err != nil {
		t.Error(err)
	}
	conf.Auth = Certificate(func() (*tls.Certificate, error) { return nil, errors.New("the certificate is being replaced") })
	e := newExchange(t, conf)
	wantError(t, e.Check(creds.Spec{}), "being replaced")
	if _, err := e.Issue(t.Context(), creds.Spec{}, request(subject)); err == nil {
		t.Error("no certificate, no error")
	}
}

func TestExchangeSendsWhatIsConfigured(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	conf := f.config()
	conf.Resource = []string{"https://a.example/api", "https://b.example/api"}
	conf.Actor = creds.Static([]byte(actor))
	r := request(subject)
	r.Arguments = json.RawMessage(`{"audience":"https://evil.example","scope":"admin"}`)
	m, err := newExchange(t, conf).Issue(t.Context(), creds.Spec{}, r)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"grant_type": {exchangeGrant}, "requested_token_type": {AccessToken},
		"subject_token": {subject}, "subject_token_type": {AccessToken}, "actor_token": {actor}, "actor_token_type": {JWT},
		"audience": conf.Audience, "resource": conf.Resource, "scope": {"calendar.read calendar.list"},
	}
	if f.last.Encode() != want.Encode() {
		t.Errorf("sent %v", f.last)
	}
	if string(m.Secret.Reveal()) != canary+"-issued" || !m.Expires.Equal(time.Unix(clock+600, 0)) || m.Record.Role != "client:1" {
		t.Errorf("%q, %+v", m.Secret.Reveal(), m)
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	t.Parallel()
	jwt := func(header, signature string) string {
		return header + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"`+canary+`"}`)) + "." + signature
	}
	tests := []struct {
		attack string
		answer map[string]any
		want   string
	}{
		{"caller's token passed on", map[string]any{"access_token": subject}, "gave back"},
		{"actor's token passed on", map[string]any{"access_token": actor}, "gave back"},
		{"more scopes than asked for", map[string]any{"scope": "calendar.read calendar.write"}, "not asked for"},
		{"scope in another case", map[string]any{"scope": "Calendar.Read"}, "not asked for"},
		{"no life", map[string]any{"expires_in": nil}, "does not say"},
		{"life of zero", map[string]any{"expires_in": 0}, "life of 0 s"},
		{"negative life", map[string]any{"expires_in": -5}, "life of -5 s"},
		{"life of a year", map[string]any{"expires_in": 31536000}, "life of"},
		{"life that overflows", map[string]any{"expires_in": int64(1) << 62}, "life of"},
		{"life as a string", map[string]any{"expires_in": "600"}, "cannot be used"},
		{"life as a fraction", map[string]any{"expires_in": 600.5}, "cannot be used"},
		{"refresh token instead", map[string]any{"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "not an access token"},
		{"no issued type", map[string]any{"issued_token_type": nil}, "not an access token"},
		{"token type N_A", map[string]any{"token_type": "N_A"}, "Bearer"},
		{"token type DPoP", map[string]any{"token_type": "DPoP"}, "Bearer"},
		{"no token type", map[string]any{"token_type": nil}, "Bearer"},
		{"no token", map[string]any{"access_token": nil}, "is empty"},
		{"token that breaks a header", map[string]any{"access_token": canary + "\r\nX: y"}, "visible ASCII"},
		{"token of 1 MB", map[string]any{"access_token": strings.Repeat("x", 20<<10)}, "longer"},
		{"token is an object", map[string]any{"access_token": map[string]any{"x": canary}}, "cannot be used"},
	}
	for _, test := range tests {
		f := newFake(t)
		f.answer = test.answer
		conf := f.config()
		conf.Actor = creds.Static([]byte(actor))
		m, err := newExchange(t, conf).Issue(t.Context(), creds.Spec{}, request(subject))
		if !m.Secret.Empty() {
			t.Errorf("%s: issued", test.attack)
		}
		wantError(t, err, test.want)
	}
	if !same([]byte(jwt("a", "b")), []byte(jwt("c", "d"))) || same([]byte(jwt("a", "b")), []byte("x.y.z")) || same([]byte("a"), []byte("b")) {
		t.Error("a JWT that was signed anew is not recognised")
	}
	for _, ok := range []map[string]any{{"scope": "calendar.list"}, {"scope": nil}, {"token_type": "bearer"}, {"refresh_token": canary}, {"issued_token_type": JWT}} {
		f := newFake(t)
		f.answer = ok
		if _, err := newExchange(t, f.config()).Issue(t.Context(), creds.Spec{}, request(subject)); err != nil {
			t.Errorf("%v: %v", ok, err)
		}
	}
}

func TestRefusalsOfTheServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		body   string
		want   string
	}{
		{400, `{"error":"invalid_target","error_description":"` + canary + `"}`, "HTTP 400 invalid_target"},
		{400, `{"error":"` + canary + `"}`, "HTTP 400"},
		{400, `{"error":["invalid_grant"]}`, "HTTP 400"},
		{400, `{"error":"invalid_grant","error":"invalid_scope"}`, "HTTP 400"},
		{403, canary, "HTTP 403"},
		{500, ``, "HTTP 500"},
		{302, ``, "HTTP 302"},
		{200, `<html>` + canary, "cannot be used"},
		{200, ``, "empty"},
		{200, `null`, "not an object"},
		{200, `{"access_token":"` + canary + `","access_token":"b","token_type":"Bearer","expires_in":9}`, "cannot be used"},
		{200, `{"Access_Token":"` + canary + `","token_type":"Bearer","expires_in":9,"issued_token_type":"` + AccessToken + `"}`, "empty"},
	}
	for _, test := range tests {
		f := newFake(t)
		f.status, f.body = test.status, test.body
		if f.body == "" {
			f.body = " "
		}
		_, err := newExchange(t, f.config()).Issue(t.Context(), creds.Spec{}, request(subject))
		wantError(t, err, test.want)
	}
}

func TestCallerWithoutToken(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	e := newExchange(t, f.config())
	_, err := e.Issue(t.Context(), creds.Spec{}, creds.Request{})
	_, planned := e.Plan(creds.Spec{}, creds.Request{})
	if !errors.Is(err, ErrNoSubject) || !errors.Is(planned, ErrNoSubject) || f.last != nil {
		t.Errorf("%v, %v, sent %v", err, planned, f.last)
	}
	_, err = e.Issue(t.Context(), creds.Spec{}, request(canary+"\r\nX: y"))
	wantError(t, err, "visible ASCII")
}

func TestPlansKeepCallersApart(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	e := newExchange(t, f.config())
	plan := func(e *exchange, r creds.Request) string {
		p, err := e.Plan(creds.Spec{}, r)
		if err != nil || len(p) > 1024 || strings.Contains(p, "hunter2") || strings.Contains(p, "alice") {
			t.Errorf("%q, %v", p, err)
		}
		return p
	}
	base := plan(e, request(subject))
	if base != plan(e, request(subject)) {
		t.Error("the same caller has two plans")
	}
	bob := request(subject)
	bob.Principal.Subject = "bob"
	wider := f.config()
	wider.Scopes = append(wider.Scopes, "calendar.write")
	for what, other := range map[string]string{
		"another token": plan(e, request(subject+"2")), "another principal": plan(e, bob), "another scope": plan(newExchange(t, wider), request(subject)),
	} {
		if other == base {
			t.Errorf("%s has the same plan", what)
		}
	}
}

func TestLifeIsBounded(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answer["expires_in"] = 7200
	for most, want := range map[time.Duration]time.Duration{0: time.Hour, 10 * time.Minute: 10 * time.Minute, 3 * time.Hour: 2 * time.Hour} {
		conf := f.config()
		conf.MaxLife = most
		m, err := newExchange(t, conf).Issue(t.Context(), creds.Spec{}, request(subject))
		if err != nil || !m.Expires.Equal(time.Unix(clock, 0).Add(want)) {
			t.Errorf("%v: %v, %v", most, m.Expires, err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for fault, change := range map[string]func(*Config){
		"oauth: Config.Auth is missing":   func(c *Config) { c.Auth = Auth{} },
		"signing key is missing":          func(c *Config) { c.Auth = PrivateKey(nil, "") },
		"client secret is missing":        func(c *Config) { c.Auth = ClientSecret(nil) },
		"certificate is missing":          func(c *Config) { c.Auth = Certificate(nil) },
		"ClientID must have":              func(c *Config) { c.ClientID = "a b" },
		"Audience or Config.Resource":     func(c *Config) { c.Audience = nil },
		"give Config.Scopes":              func(c *Config) { c.Scopes = nil },
		"scope \"a b\" is not one":        func(c *Config) { c.Scopes = []string{"a b"} },
		"given twice":                     func(c *Config) { c.Scopes = []string{"a", "a"} },
		"RFC 8707":                        func(c *Config) { c.Resource = []string{"/relative"} },
		"MaxLife is":                      func(c *Config) { c.MaxLife = 48 * time.Hour },
		"must begin with https":           func(c *Config) { c.InsecureLoopback = false },
		"more than scheme":                func(c *Config) { c.TokenURL = "https://login.example/token?x=" + canary },
		"Config.Actor: the static secret": func(c *Config) { c.Actor = creds.Static(nil) },
	} {
		conf := f.config()
		change(&conf)
		wantError(t, Exchange(conf).(creds.Checker).Check(creds.Spec{}), strings.TrimPrefix(fault, "oauth: "))
	}
	if err := Exchange(f.config()).(creds.Checker).Check(creds.NewSpec("n", nil)); err != nil {
		t.Error(err)
	}
	wantError(t, Exchange(f.config()).(creds.Checker).Check(creds.NewSpec("n", map[string]string{"scope": "x"})), "takes none")
}

func TestProbe(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	e := newExchange(t, f.config())
	a, err := e.Probe(t.Context(), creds.Spec{})
	if err != nil || len(a.Notes) != 2 || a.Rules[0].Resources[0] != "https://calendar.example" {
		t.Errorf("%+v, %v", a, err)
	}
	conf := f.config()
	conf.Auth = ClientSecret(creds.Static([]byte("wrong")))
	_, err = newExchange(t, conf).Probe(t.Context(), creds.Spec{})
	wantError(t, err, "invalid_client")
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := ClientCredentials(f.config()).(*client)
	c.now = func() time.Time { return time.Unix(clock, 0) }
	t.Cleanup(func() { _ = c.Close() })
	m, err := c.Issue(t.Context(), creds.Spec{}, creds.Request{})
	if err != nil || string(m.Secret.Reveal()) != canary+"-issued" || f.last.Has("subject_token") {
		t.Errorf("%v, %v", f.last, err)
	}
	if _, err := c.Probe(t.Context(), creds.Spec{}); err != nil {
		t.Error(err)
	}
	f.answer["scope"] = "admin"
	_, err = c.Issue(t.Context(), creds.Spec{}, creds.Request{})
	wantError(t, err, "not asked for")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Issue(ctx, creds.Spec{}, creds.Request{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	conf := f.config()
	conf.Scopes, conf.Audience = nil, nil
	wantError(t, ClientCredentials(conf).(creds.Checker).Check(creds.Spec{}), "all that the client may do")
}

// FuzzAnswer feeds answers of a token endpoint.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"access_token":"a","token_type":"Bearer","expires_in":60,"issued_token_type":"` + AccessToken + `","scope":"s"}`))
	f.Add([]byte(`{"expires_in":-1}`))
	f.Fuzz(fuzzAnswer)
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

func TestSourcesAreClosed(t *testing.T) {
	t.Parallel()
	closed := 0
	from := source{creds.Static([]byte("s")), &closed}
	p := Exchange(Config{TokenURL: "https://as.example/token", Auth: ClientSecret(from), Actor: from}).(*exchange)
	if err := p.Close(); err != nil || closed != 2 {
		t.Errorf("closed %d times, %v", closed, err)
	}
}
