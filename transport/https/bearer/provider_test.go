package bearer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
)

// A provider is a real identity provider, in this process: the library's own example
// storage, with keys that rotate and tokens for our endpoint.
type provider struct {
	*storage.Storage

	server *httptest.Server

	mu   sync.Mutex
	keys []*providerKey // published; the first signs
}

type providerKey struct {
	id      string
	private *ecdsa.PrivateKey
}

func (k *providerKey) ID() string                                  { return k.id }
func (k *providerKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k *providerKey) Algorithm() jose.SignatureAlgorithm          { return jose.ES256 }
func (k *providerKey) Use() string                                 { return "sig" }
func (k *providerKey) Key() any                                    { return k.private }

type publishedKey struct{ *providerKey }

func (k publishedKey) Key() any { return &k.private.PublicKey }

// jwtClient makes the service user's tokens signed ones.
type jwtClient struct{ op.Client }

func (jwtClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

const (
	apiClient = "resource"
	apiSecret = "of the resource server"
	// providerUser is one of the example's, as introspection looks users up.
	providerUser = "id1"
)

func newProvider(tb testing.TB) *provider {
	tb.Helper()
	p := new(provider)
	var handler http.Handler
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that leave
	p.publish(tb, true)
	p.Storage = storage.NewStorageWithClients(storage.NewUserStore("https://localhost/"), map[string]*storage.Client{
		apiClient: storage.WebClient(apiClient, apiSecret),
	})
	ready := make(chan struct{})
	inner := p.server.Config.Handler
	p.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-ready; inner.ServeHTTP(w, r) })
	p.server.StartTLS()
	tb.Cleanup(func() { p.server.CloseClientConnections(); p.server.Close() })
	made, err := op.NewProvider(&op.Config{GrantTypeRefreshToken: true}, p, op.StaticIssuer(p.server.URL),
		op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		tb.Fatal(err)
	}
	handler = made
	close(ready)
	return p
}

// publish adds a key, and signs with it.
func (p *provider) publish(tb testing.TB, use bool) *providerKey {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	k := &providerKey{rand.Text(), private}
	p.mu.Lock()
	defer p.mu.Unlock()
	if use {
		p.keys = slices.Insert(p.keys, 0, k)
	} else {
		p.keys = append(p.keys, k)
	}
	return k
}

// use signs with a published key from now on, and withdraw takes one away.
func (p *provider) use(k *providerKey) {
	p.withdraw(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = slices.Insert(p.keys, 0, k)
}

func (p *provider) withdraw(k *providerKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = slices.DeleteFunc(p.keys, func(have *providerKey) bool { return have == k })
}

func (p *provider) SigningKey(context.Context) (op.SigningKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[0], nil
}

func (p *provider) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

func (p *provider) KeySet(context.Context) ([]op.Key, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keys := make([]op.Key, 0, len(p.keys))
	for _, k := range p.keys {
		keys = append(keys, publishedKey{k})
	}
	return keys, nil
}

func (p *provider) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := p.Storage.ClientCredentials(ctx, id, secret)
	return jwtClient{c}, err
}

func (p *provider) ClientCredentialsTokenRequest(_ context.Context, _ string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: providerUser, Audience: []string{endpoint, apiClient}, Scopes: scopes}, nil
}

func (p *provider) GetPrivateClaimsFromScopes(_ context.Context, _, _ string, scopes []string) (map[string]any, error) {
	return map[string]any{"scope": strings.Join(scopes, " ")}, nil
}

// token gets an access token as a client does.
func (p *provider) token(tb testing.TB) string {
	tb.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"files:read"}}
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, p.server.URL+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("sid1", "verysecret")
	res, err := p.server.Client().Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		tb.Fatalf("%d %s", res.StatusCode, body)
	}
	return answer.Token
}

func (p *provider) config() Config {
	roots := x509.NewCertPool()
	roots.AddCert(p.server.Certificate())
	return Config{
		Audience: []string{endpoint},
		Issuers:  []Issuer{{URL: p.server.URL, Roots: roots, Private: true, Types: []string{"JWT", ""}, Refresh: time.Second}},
		Scopes:   map[string][]string{"*": {"files:read"}},
	}
}

func TestRealProvider(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.config()
	c.Issuers[0].Introspection = &Introspection{
		ClientID: apiClient, Secret: func(context.Context) (string, error) { return apiSecret, nil },
	}
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Verifier: v}
	r.watch(t)
	token := p.token(t)
	id := r.good(t, token)
	if id.Principal.Subject != providerUser || id.Principal.Client != "sid1" || id.Principal.Issuer != p.server.URL {
		t.Errorf("principal %+v", id.Principal)
	}
	if err := r.Permit(id, "tools/call", "x"); err != nil {
		t.Error(err)
	}
	claims, err := readClaims(decodeClaims(t, token))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.RevokeToken(t.Context(), claims.ID, providerUser, ""); err != nil {
		t.Fatal(err)
	}
	revoked := httpx.NewStopwatch(t)
	for id.Still() == nil && revoked.Lived() < httpx.Patience {
		if _, err := r.try(t, token); err != nil {
			break
		}
	}
	if took := revoked.Lived(); took > 5*time.Second {
		t.Errorf("revoked at the provider, and out after %v", took)
	}
	r.refused(t, token, invalidToken, textRevoked)
}

func decodeClaims(tb testing.TB, token string) []byte {
	tb.Helper()
	signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		tb.Fatal(err)
	}
	return signed.UnsafePayloadWithoutVerification()
}

// Keys of a real provider rotate while its tokens are used: none is refused, and tokens of
// withdrawn keys are.
func TestRealProviderRotatesKeysUnderLoad(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	v, err := New(p.config())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Verifier: v}
	refresh := func() {
		if _, _, err := v.issuers[p.server.URL].keys.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var use sync.RWMutex
	var load sync.WaitGroup
	var judged [3]int
	once := func() error {
		use.RLock()
		defer use.RUnlock()
		_, err := r.try(t, p.token(t))
		return err
	}
	for n := range judged {
		load.Go(func() {
			for ctx.Err() == nil {
				if err := once(); err != nil {
					t.Errorf("refused: %v", explain(err))
					return
				}
				judged[n]++
			}
		})
	}
	var last string
	for range 20 {
		last = p.token(t)
		old := p.keys[0]
		next := p.publish(t, false)
		refresh()
		use.Lock()
		p.use(next)
		use.Unlock()
		p.withdraw(old)
		refresh()
		r.refused(t, last, invalidToken, textInvalid)
	}
	cancel()
	load.Wait()
	t.Logf("judged %v through 20 rotations", judged)
	for n, count := range judged {
		if count == 0 {
			t.Errorf("caller %d judged nothing", n)
		}
	}
	v.issuers[p.server.URL].client.Close()
}
