package vault

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func secret(text string) creds.Provider { return creds.Static([]byte(text)) }

func (f *fake) appRole() Auth { return AppRole{RoleID: f.roleID, SecretID: secret(f.secretID)} }

// newServer returns a server for one or more fakes that share the first one's clock.
func newServer(t *testing.T, auth Auth, fakes ...*fake) *Server {
	t.Helper()
	addresses := make([]string, len(fakes))
	for i, f := range fakes {
		addresses[i] = f.serve(t)
	}
	s := New(Config{Addresses: addresses, Auth: auth, InsecureLoopback: true})
	s.now = fakes[0].now
	return s
}

func closing(t *testing.T, p creds.Provider) {
	t.Helper()
	t.Cleanup(func() { _ = p.(interface{ Close() error }).Close() })
}

func (f *fake) kvOf(t *testing.T, k KV) creds.Provider {
	t.Helper()
	p := newServer(t, f.appRole(), f).KV(k)
	closing(t, p)
	return p
}

func issue(t *testing.T, p creds.Provider) (creds.Material, string, error) {
	t.Helper()
	m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
	noCanary(t, err)
	return m, string(m.Secret.Reveal()), err
}

// noCanary fails the test if an error repeats a secret.
func noCanary(t *testing.T, err error) {
	t.Helper()
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "hunter2") {
		t.Errorf("a secret is in the error: %s", text)
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	noCanary(t, err)
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want an error with %q", err, part)
		}
	}
}

func TestLogins(t *testing.T) {
	t.Parallel()
	f := newFake()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(f.grant(time.Hour, time.Hour, "app")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		auth Auth
		want string // of the error; empty for success
	}{
		{"AppRole", f.appRole(), ""},
		{"JWT of Kubernetes", JWT{Mount: "kubernetes", Role: "files", Token: secret(f.jwt)}, ""},
		{"token from a file", Token{creds.File(file)}, ""},
		{"wrong secret id, which the server echoes", AppRole{RoleID: f.roleID, SecretID: secret(canary + "-wrong")}, "invalid_role_or_secret_id"},
		{"wrong JWT", JWT{Mount: "kubernetes", Role: "files", Token: secret(canary + ".x")}, "HTTP 403 permission_denied"},
		{"unknown token", Token{secret("s." + canary)}, "permission_denied"},
		{"token with a line feed within", Token{secret(canary + "\nX-Evil: 1")}, "visible ASCII"},
		{"token file that is gone", Token{creds.File(file + ".gone")}, "no such file"},
		{"mount that is not there", JWT{Mount: "none", Role: "files", Token: secret(f.jwt)}, "HTTP 403"},
	}
	for _, test := range tests {
		p := newServer(t, test.auth, f).KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
		closing(t, p)
		m, got, err := issue(t, p)
		if test.want != "" {
			wantError(t, err, "vault: ", "login by ", test.want)
			continue
		}
		if err != nil || got != canary+"-v2" || m.Version != "2" || !m.Expires.Equal(f.now().Add(DefaultKeep)) {
			t.Errorf("%s: %q, version %q until %v, %v", test.name, got, m.Version, m.Expires, err)
		}
	}
}

func TestCheckFindsFaultsAtStart(t *testing.T) {
	t.Parallel()
	good := Config{Addresses: []string{"https://vault.internal:8200"}, Auth: AppRole{RoleID: "r", SecretID: secret("s")}}
	kv := KV{Mount: "secret", Path: "a/b"}
	tests := []struct {
		fault string
		conf  func(*Config)
		kv    func(*KV)
		want  string
	}{
		{"none", nil, nil, ""},
		{"no address", func(c *Config) { c.Addresses = nil }, nil, "0 addresses"},
		{"plain http", func(c *Config) { c.Addresses = []string{"http://vault.internal"} }, nil, "must begin with https"},
		{"plain http to loopback without saying so", func(c *Config) { c.Addresses = []string{"http://127.0.0.1"} }, nil, "must begin with https"},
		{"password in the address", func(c *Config) { c.Addresses = []string{"https://u:" + canary + "@vault"} }, nil, "more than scheme"},
		{"no login", func(c *Config) { c.Auth = nil }, nil, "Auth is missing"},
		{"no secret id", func(c *Config) { c.Auth = AppRole{RoleID: "r"} }, nil, "SecretID is missing"},
		{"unreadable token file", func(c *Config) { c.Auth = Token{creds.File("/nonexistent/token")} }, nil, "no such file"},
		{"namespace that climbs", func(c *Config) { c.Namespace = "../x" }, nil, "plain path"},
		{"roots that are none", func(c *Config) { c.Roots = []byte("x") }, nil, "no PEM"},
		{"path that climbs", nil, func(k *KV) { k.Path = "../../sys/raw" }, "plain path"},
		{"path with a query", nil, func(k *KV) { k.Path = "a?version=1" }, "plain path"},
		{"path with a wildcard", nil, func(k *KV) { k.Path = "a/*" }, "plain path"},
		{"absolute path", nil, func(k *KV) { k.Path = "/a" }, "plain path"},
		{"version below zero", nil, func(k *KV) { k.Version = -1 }, "Version is -1"},
		{"kept for a week", nil, func(k *KV) { k.Keep = 168 * time.Hour }, "Keep is"},
	}
	for _, test := range tests {
		c, k := good, kv
		if test.conf != nil {
			test.conf(&c)
		}
		if test.kv != nil {
			test.kv(&k)
		}
		p := New(c).KV(k)
		err := p.(creds.Checker).Check(creds.NewSpec("n", nil))
		noCanary(t, err)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.fault, err)
		}
	}
	err := New(good).KV(kv).(creds.Checker).Check(creds.NewSpec("n", map[string]string{"path": "x"}))
	wantError(t, err, "takes none")
}

func TestKVFaults(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.secrets["gone"] = []map[string]string{{"key": "a"}, nil}
	tests := []struct {
		fault string
		kv    KV
		want  string
	}{
		{"no such secret", KV{Path: "none"}, "nothing is there"},
		{"deleted version", KV{Path: "gone"}, "deleted"},
		{"no such version", KV{Path: "apps/db", Version: 9}, "HTTP 404"},
		{"no such field", KV{Path: "apps/db", Field: "none"}, `no field "none"`},
		{"field of an older version", KV{Path: "apps/db", Field: "user", Version: 1}, `no field "user"`},
	}
	for _, test := range tests {
		test.kv.Mount = "secret"
		_, _, err := issue(t, f.kvOf(t, test.kv))
		wantError(t, err, "secret/data/"+test.kv.Path, test.want)
	}
	m, got, err := issue(t, f.kvOf(t, KV{Mount: "secret", Path: "apps/db", Version: 1, Field: "key"}))
	if err != nil || got != canary+"-v1" || m.Version != "1" || m.Record.KeyID != "secret/data/apps/db@1" {
		t.Errorf("pinned: %q, %+v, %v", got, m.Record, err)
	}
	m, got, err = issue(t, f.kvOf(t, KV{Mount: "secret", Path: "apps/db"}))
	if err != nil || !strings.Contains(got, `"user":"`) || len(m.Parts) != 2 {
		t.Errorf("all fields: %q, %d parts, %v", got, len(m.Parts), err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for fault, r := range map[string]raw{
		"empty body":        {200, "application/json", ""},
		"HTML":              {200, "text/html", "<html>" + canary},
		"HTML as JSON":      {200, "application/json", "<html>" + canary},
		"null":              {200, "application/json", "null"},
		"array":             {200, "application/json", `["` + canary + `"]`},
		"no data":           {200, "application/json", `{"x":"` + canary + `"}`},
		"version 1 store":   {200, "application/json", `{"data":{"key":"` + canary + `"}}`},
		"name twice":        {200, "application/json", `{"data":{"data":{"key":"` + canary + `"},"data":{},"metadata":{"version":1}}}`},
		"data is a string":  {200, "application/json", `{"data":{"data":"` + canary + `","metadata":{"version":1}}}`},
		"number as secret":  {200, "application/json", `{"data":{"data":{"key":1234},"metadata":{"version":1}}}`},
		"destroyed":         {200, "application/json", `{"data":{"data":{"key":"` + canary + `"},"metadata":{"version":1,"destroyed":true}}}`},
		"no content":        {204, "application/json", ""},
		"403 without sense": {403, "text/plain", canary},
		"403 echo":          {403, "application/json", `{"errors":["` + canary + `"]}`},
		"500 echo":          {500, "application/json", `{"errors":["` + canary + `"]}`},
		"a deep bomb":       {200, "application/json", strings.Repeat(`{"data":`, 5000)},
		"larger than 1 MiB": {200, "application/json", `{"x":"` + strings.Repeat("x", 1<<20) + `"}`},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.raw = &r
			for _, field := range []string{"key", ""} {
				if field == "" && fault == "number as secret" {
					continue // a document may hold numbers
				}
				m, got, err := issue(t, f.kvOf(t, KV{Mount: "secret", Path: "apps/db", Field: field}))
				if err == nil {
					t.Errorf("field %q: got %q, %+v", field, got, m)
				}
			}
			l := newServer(t, f.appRole(), f).Lease(Lease{Path: "database/creds/app"})
			closing(t, l)
			if _, got, err := issue(t, l); err == nil {
				t.Errorf("lease: got %q", got)
			}
		})
	}
}

func TestNamespace(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.namespace = "team/a"
	for namespace, ok := range map[string]bool{"team/a": true, "/team/a/": true, "": false, "team/b": false} {
		s := New(Config{Addresses: []string{f.serve(t)}, Namespace: namespace, Auth: f.appRole(), InsecureLoopback: true})
		s.now = f.now
		p := s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})
		closing(t, p)
		if _, _, err := issue(t, p); (err == nil) != ok {
			t.Errorf("%q: %v", namespace, err)
		} else if err != nil {
			wantError(t, err, "bad_namespace")
		}
	}
}

func TestColdStartIsOneLogin(t *testing.T) {
	t.Parallel()
	f := newFake()
	p := f.kvOf(t, KV{Mount: "secret", Path: "apps/db", Field: "key"})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, _, err := issue(t, p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.count("POST auth/approle/login"); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestPlans(t *testing.T) {
	t.Parallel()
	s := New(Config{Addresses: []string{"https://vault.internal"}, Auth: Token{secret("t")}})
	alice := creds.Request{Principal: mcpsec.Principal{Rung: mcpsec.Token, Subject: "alice"}}
	bob := creds.Request{Principal: mcpsec.Principal{Rung: mcpsec.Token, Subject: "bob"}}
	plan := func(p creds.Provider, r creds.Request) string {
		text, err := p.(creds.Planner).Plan(creds.Spec{}, r)
		if err != nil || len(text) > 1024 {
			t.Errorf("%d bytes, %v", len(text), err)
		}
		return text
	}
	a := s.KV(KV{Mount: "secret", Path: "a", Field: "f"})
	if plan(a, alice) != plan(a, bob) {
		t.Error("a static secret is not shared")
	}
	for _, other := range []KV{{Mount: "secret", Path: "b", Field: "f"}, {Mount: "secret", Path: "a", Field: "g"}, {Mount: "secret", Path: "a", Field: "f", Version: 1}, {Mount: "secret/a", Path: "f"}} {
		if plan(a, alice) == plan(s.KV(other), alice) {
			t.Errorf("%+v has the same plan", other)
		}
	}
	shared, own := s.Lease(Lease{Path: "p"}), s.Lease(Lease{Path: "p", PerPrincipal: true})
	if plan(shared, alice) != plan(shared, bob) || plan(own, alice) == plan(own, bob) {
		t.Error("plans of leases")
	}
}

func TestProbeAndDescribe(t *testing.T) {
	t.Parallel()
	f := newFake()
	p := f.kvOf(t, KV{Mount: "secret", Path: "apps/db", Field: "key"})
	a, err := p.(creds.Prober).Probe(t.Context(), creds.Spec{})
	if err != nil || len(a.Rules) != 1 || strings.Join(a.Rules[0].Actions, " ") != "read list" || len(a.Notes) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	before := len(f.seen)
	d, err := p.(creds.Describer).Describe(creds.Spec{}, creds.Request{})
	if err != nil || !strings.HasPrefix(d.Identity, "AppRole at approle, 127.0.0.1") || d.Lifetime != DefaultKeep || len(f.seen) != before {
		t.Errorf("%+v, %v", d, err)
	}
	f.set(func() { f.denied["sys/capabilities-self"] = true })
	_, err = p.(creds.Prober).Probe(t.Context(), creds.Spec{})
	wantError(t, err, "permission_denied")
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	f := newFake()
	p := f.kvOf(t, KV{Mount: "secret", Path: "apps/db"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Issue(ctx, creds.Spec{}, creds.Request{}); err == nil {
		t.Error("no error")
	}
}
