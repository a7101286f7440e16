package leak

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

// newCanaries returns the secrets of one run, by what they are. They differ from run to
// run, and have the forms that detectors know.
func newCanaries(t *testing.T) map[string]string {
	t.Helper()
	canaries := map[string]string{
		"file": "ghp_" + random(36), "keyring": "glpat-" + random(20), "age": random(40), "subject": random(48), "manager": random(40), "parameter": random(40),
		"vault secret id": random(40), "vault token": "hvs." + random(95), "vault kv": random(40), "vault lease": random(40),
		"gcp platform token": random(40), "gcp federated token": "ya29." + random(60), "gcp token": "ya29." + random(61), "gcp secret": random(40),
		"azure platform token": random(40), "azure token": random(60), "oauth client secret": random(40), "oauth token": random(60), "oauth exchanged token": random(61),
		"aws user": fakeaws.UserKeys.SecretAccessKey,
	}
	return canaries
}

func random(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}

const (
	account = "notes@my-project.iam.gserviceaccount.com"
	tenant  = "11111111-2222-3333-4444-555555555555"
)

// A cloud is every service but those of AWS: Vault, Google Cloud, Entra ID and an
// authorization server. It believes what it is told; the tests of the providers have
// fakes that do not. A hostile one refuses everything, and repeats in its refusal all
// secrets it knows and all that it was sent.
type cloud struct {
	url      string
	canaries map[string]string
	hostile  bool

	asked atomic.Int64
}

func newCloud(t *testing.T, canaries map[string]string, hostile bool) *cloud {
	t.Helper()
	c := &cloud{canaries: canaries, hostile: hostile}
	ts := httptest.NewServer(c)
	t.Cleanup(ts.Close)
	c.url = ts.URL
	return c
}

// requests is how many have come.
func (c *cloud) requests() int64 { return c.asked.Load() }

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	c.asked.Add(1)
	w.Header().Set("Content-Type", "application/json")
	if c.hostile {
		c.refuse(w, r, body)
		return
	}
	answer, ok := c.answers()[r.URL.Path]
	if !ok && strings.HasSuffix(r.URL.Path, "-self") || strings.HasPrefix(r.URL.Path, "/v1/sys/") {
		w.WriteHeader(http.StatusNoContent) // Vault: revoked
		return
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if life, ok := lifetime(body); ok {
		answer = map[string]any{"accessToken": c.canaries["gcp token"], "expireTime": time.Now().Add(life).UTC().Format(time.RFC3339)}
	}
	if strings.Contains(string(body), "token-exchange") && r.URL.Path == "/token" {
		answer = map[string]any{
			"access_token": c.canaries["oauth exchanged token"], "token_type": "Bearer", "expires_in": 600,
			"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// lifetime returns the life of the token that Google Cloud is asked for.
func lifetime(body []byte) (time.Duration, bool) {
	var asked struct {
		Lifetime string `json:"lifetime"`
	}
	if json.Unmarshal(body, &asked) != nil || asked.Lifetime == "" {
		return 0, false
	}
	life, err := time.ParseDuration(asked.Lifetime)
	return life, err == nil
}

// refuse says too much, in every place in which a service can.
func (c *cloud) refuse(w http.ResponseWriter, r *http.Request, body []byte) {
	all := fmt.Sprint(r.Header, string(body), r.URL, c.canaries)
	line := strings.NewReplacer("\n", " ", "\r", " ").Replace(all)
	w.Header().Set("X-Request-ID", line)
	w.Header().Set("WWW-Authenticate", line)
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error": c.canaries["oauth token"], "error_description": all, "errors": []string{all}, "warnings": []string{all}, "message": all,
		"code": all, "error_codes": []string{all}, "request_id": all,
	})
}

func (c *cloud) answers() map[string]any {
	k := c.canaries
	secret := []byte(k["gcp secret"])
	return map[string]any{
		"/v1/auth/approle/login": map[string]any{"auth": map[string]any{
			"client_token": k["vault token"], "accessor": "a", "policies": []string{"default"}, "lease_duration": 3600, "renewable": true, "token_type": "service",
		}},
		"/v1/secret/data/apps/notes": map[string]any{"data": map[string]any{
			"data":     map[string]string{"key": k["vault kv"]},
			"metadata": map[string]any{"version": 1, "destroyed": false, "deletion_time": "", "created_time": "2026-11-01T12:00:00Z"},
		}},
		"/v1/database/creds/app": map[string]any{
			"lease_id": "database/creds/app/L1", "lease_duration": 600, "renewable": true,
			"data": map[string]any{"username": "v-app-1", "password": k["vault lease"]},
		},
		"/sts/v1/token": map[string]any{
			"access_token": k["gcp federated token"], "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600,
		},
		"/iam/v1/projects/-/serviceAccounts/" + account + ":generateAccessToken": nil, // see lifetime
		"/sm/v1/projects/my-project/secrets/notes/versions/7:access": map[string]any{
			"name": "projects/123/secrets/notes/versions/7", "payload": map[string]any{
				"data": base64.StdEncoding.EncodeToString(secret), "dataCrc32c": strconv.Itoa(int(crc32.Checksum(secret, crc32.MakeTable(crc32.Castagnoli)))),
			},
		},
		"/" + tenant + "/oauth2/v2.0/token": map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": k["azure token"]},
		"/token":                            map[string]any{"access_token": k["oauth token"], "token_type": "Bearer", "expires_in": 600},
	}
}
