package vault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fake is a Vault of its own making: tokens, leases and policies in tables, time by
// hand. It was written from the API's documentation and shares nothing with the
// client; contract_test.go shows that the real API client understands it.
type fake struct {
	mu     sync.Mutex
	clock  time.Time
	serial int

	roleID, secretID, jwt string
	tokenTTL, tokenMax    time.Duration
	tokenRenewable        bool
	leaseTTL, leaseMax    time.Duration
	leaseRenewable        bool
	namespace             string // that requests must name

	sealed   bool
	status   int    // answer everything with this
	redirect string // answer everything with 307 to there
	raw      *raw   // answer everything but logins with this

	tokens  map[string]*fakeToken
	leases  map[string]*fakeLease
	secrets map[string][]map[string]string // by path, versions from 1; nil is deleted
	denied  map[string]bool                // paths that no policy allows
	seen    []string                       // method and path of each request
}

type raw struct {
	status     int
	kind, body string
}

type fakeToken struct {
	ends, max time.Time
	renewable bool
	policies  []string
}

type fakeLease struct {
	token     string
	ends, max time.Time
	renewable bool
}

const canary = "hunter2-canary-7c1f"

func newFake() *fake {
	return &fake{
		clock: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), roleID: "role-1", secretID: canary + "-secret-id", jwt: canary + ".jwt.sig",
		tokenTTL: time.Hour, tokenMax: 4 * time.Hour, tokenRenewable: true,
		leaseTTL: 10 * time.Minute, leaseMax: 30 * time.Minute, leaseRenewable: true,
		tokens: make(map[string]*fakeToken), leases: make(map[string]*fakeLease), denied: make(map[string]bool),
		secrets: map[string][]map[string]string{"apps/db": {{"key": canary + "-v1"}, {"key": canary + "-v2", "user": canary + "-user"}}},
	}
}

// serve serves the fake on the loopback for the life of the test.
func (f *fake) serve(t *testing.T) string {
	t.Helper()
	ts := httptest.NewServer(f)
	t.Cleanup(ts.Close)
	return ts.URL
}

func (f *fake) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock
}

// set changes the fake between requests.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) advance(d time.Duration) { f.set(func() { f.clock = f.clock.Add(d) }) }

// count returns how many requests had the method and path.
func (f *fake) count(request string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, seen := range f.seen {
		if seen == request {
			n++
		}
	}
	return n
}

func (f *fake) live() (tokens, leases int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweep()
	return len(f.tokens), len(f.leases)
}

// grant makes a token from nowhere. The fake is locked, or not yet served.
func (f *fake) grant(ttl, longest time.Duration, policies ...string) string {
	f.serial++
	id := fmt.Sprintf("s.%s-token-%d", canary, f.serial)
	f.tokens[id] = &fakeToken{f.clock.Add(ttl), f.clock.Add(longest), f.tokenRenewable, policies}
	return id
}

// sweep ends what has lived too long, and the leases of tokens that ended.
func (f *fake) sweep() {
	for id, t := range f.tokens {
		if !f.clock.Before(t.ends) {
			delete(f.tokens, id)
		}
	}
	for id, l := range f.leases {
		if _, ok := f.tokens[l.token]; !ok || !f.clock.Before(l.ends) {
			delete(f.leases, id)
		}
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweep()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	method := map[string]string{http.MethodPut: http.MethodPost}[r.Method]
	if method == "" {
		method = r.Method
	}
	f.seen = append(f.seen, method+" "+path)
	var body map[string]any
	if r.Body != nil {
		_ = json.NewDecoder(r.Body).Decode(&body)
	}
	text := func(name string) string { s, _ := body[name].(string); return s }
	token := r.Header.Get("X-Vault-Token")
	switch {
	case f.redirect != "":
		w.Header().Set("Location", f.redirect+r.URL.Path)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	case f.status != 0:
		w.WriteHeader(f.status)
		return
	case method+" "+path == "GET sys/health":
		status := http.StatusOK
		if f.sealed {
			status = http.StatusServiceUnavailable
		}
		answer(w, status, map[string]any{"initialized": true, "sealed": f.sealed, "standby": false, "version": "fake"})
		return
	case f.sealed:
		fail(w, http.StatusServiceUnavailable, "Vault is sealed")
		return
	case strings.Trim(r.Header.Get("X-Vault-Namespace"), "/") != f.namespace:
		fail(w, http.StatusForbidden, "namespace not authorized")
		return
	case path == "auth/approle/login":
		if text("role_id") != f.roleID || text("secret_id") != f.secretID {
			fail(w, http.StatusBadRequest, "invalid role or secret ID: "+text("secret_id")) // a bad habit on purpose
			return
		}
		f.authenticated(w, f.grant(f.tokenTTL, f.tokenMax, "default", "app"))
		return
	case path == "auth/kubernetes/login":
		if text("jwt") != f.jwt || text("role") != "files" {
			fail(w, http.StatusForbidden, "permission denied")
			return
		}
		f.authenticated(w, f.grant(f.tokenTTL, f.tokenMax, "default", "files"))
		return
	case f.tokens[token] == nil:
		fail(w, http.StatusForbidden, "permission denied")
		return
	case f.raw != nil:
		w.Header().Set("Content-Type", f.raw.kind)
		w.WriteHeader(f.raw.status)
		_, _ = w.Write([]byte(f.raw.body))
		return
	case f.denied[path]:
		fail(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
		return
	}
	f.authorised(w, method, path, token, r, body)
}

func (f *fake) authorised(w http.ResponseWriter, method, path, token string, r *http.Request, body map[string]any) {
	t := f.tokens[token]
	lease, _ := body["lease_id"].(string)
	switch method + " " + path {
	case "GET auth/token/lookup-self":
		answer(w, 200, map[string]any{"data": map[string]any{
			"id": token, "ttl": seconds(t.ends.Sub(f.clock)), "renewable": t.renewable, "type": "service", "policies": t.policies,
		}})
	case "POST auth/token/renew-self":
		if !t.renewable {
			fail(w, http.StatusBadRequest, "lease is not renewable")
			return
		}
		t.ends = earlier(f.clock.Add(increment(body, f.tokenTTL)), t.max)
		f.authenticated(w, token)
	case "POST auth/token/revoke-self":
		delete(f.tokens, token)
		w.WriteHeader(http.StatusNoContent)
	case "GET database/creds/app":
		f.serial++
		id := fmt.Sprintf("database/creds/app/L%d", f.serial)
		l := &fakeLease{token, earlier(f.clock.Add(f.leaseTTL), t.max), f.clock.Add(f.leaseMax), f.leaseRenewable}
		f.leases[id] = l
		answer(w, 200, map[string]any{
			"lease_id": id, "lease_duration": seconds(l.ends.Sub(f.clock)), "renewable": l.renewable,
			"data": map[string]any{"username": "v-app-" + strconv.Itoa(f.serial), "password": canary + "-pw-" + strconv.Itoa(f.serial)},
		})
	case "POST sys/leases/renew":
		switch l := f.leases[lease]; {
		case l == nil:
			fail(w, http.StatusBadRequest, "lease not found")
		case !l.renewable:
			fail(w, http.StatusBadRequest, "lease is not renewable")
		default:
			l.ends = earlier(f.clock.Add(increment(body, f.leaseTTL)), l.max)
			answer(w, 200, map[string]any{"lease_id": lease, "lease_duration": seconds(l.ends.Sub(f.clock)), "renewable": true})
		}
	case "POST sys/leases/revoke":
		delete(f.leases, lease)
		w.WriteHeader(http.StatusNoContent)
	case "POST sys/capabilities-self":
		may := []string{"read", "list"}
		switch paths, _ := body["paths"].([]any); {
		case len(paths) != 1 || paths[0] != "sys/leases/revoke":
		case f.denied["sys/leases/revoke"]:
			may = []string{"deny"}
		default:
			may = []string{"update"}
		}
		answer(w, 200, map[string]any{"capabilities": may})
	default:
		if key, ok := strings.CutPrefix(path, "secret/data/"); ok {
			f.kv(w, method, key, r.URL.Query().Get("version"), body)
			return
		}
		fail(w, http.StatusNotFound, "no handler for route \""+path+"\"")
	}
}

func (f *fake) kv(w http.ResponseWriter, method, key, version string, body map[string]any) {
	if method == http.MethodPost {
		next := make(map[string]string)
		data, _ := body["data"].(map[string]any)
		for name, value := range data {
			next[name], _ = value.(string)
		}
		f.secrets[key] = append(f.secrets[key], next)
		answer(w, 200, map[string]any{"data": map[string]any{"version": len(f.secrets[key]), "created_time": f.clock}})
		return
	}
	versions := f.secrets[key]
	n, err := strconv.Atoi(version)
	if err != nil || n == 0 {
		n = len(versions)
	}
	if n < 1 || n > len(versions) {
		fail(w, http.StatusNotFound)
		return
	}
	meta := map[string]any{"version": n, "destroyed": false, "deletion_time": "", "created_time": f.clock}
	status := 200
	if versions[n-1] == nil {
		meta["deletion_time"] = f.clock
		status = http.StatusNotFound
	}
	answer(w, status, map[string]any{"data": map[string]any{"data": versions[n-1], "metadata": meta}})
}

func (f *fake) authenticated(w http.ResponseWriter, id string) {
	t := f.tokens[id]
	answer(w, 200, map[string]any{"auth": map[string]any{
		"client_token": id, "accessor": "a", "policies": t.policies, "lease_duration": seconds(t.ends.Sub(f.clock)),
		"renewable": t.renewable, "token_type": "service",
	}})
}

func increment(body map[string]any, otherwise time.Duration) time.Duration {
	if n, _ := body["increment"].(float64); n > 0 {
		return time.Duration(n) * time.Second
	}
	return otherwise
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, status int, texts ...string) {
	if texts == nil {
		texts = []string{}
	}
	answer(w, status, map[string]any{"errors": texts})
}
