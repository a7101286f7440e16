package vault

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

// FuzzAnswers feeds what a node may answer to a login, a lease and a read.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"auth":{"client_token":"t","lease_duration":3600,"renewable":true,"token_type":"service","policies":["app"]}}`))
	f.Add([]byte(`{"lease_id":"database/creds/app/1","lease_duration":60,"renewable":true,"data":{"username":"u","password":"p"}}`))
	f.Add([]byte(`{"errors":["permission denied"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = refusal(body)
		now := time.Unix(1793534400, 0)
		var login struct {
			Auth *authAnswer `json:"auth"`
		}
		if rest.Decode(body, &login) == nil && login.Auth != nil {
			if tok, err := login.Auth.token(now); err == nil && (tok.id.Empty() || tok.ttl < 0 || tok.ttl > maxTokenLife) {
				t.Fatalf("a token of %v", tok.ttl)
			}
		}
		var answer leaseAnswer
		if rest.Decode(body, &answer) == nil {
			s := New(Config{Addresses: []string{"https://vault.internal"}})
			s.now = func() time.Time { return now }
			l, _ := s.Lease(Lease{Path: "database/creds/app", Field: "password"}).(*lease)
			m, err := l.accept(now, &token{since: now, ttl: time.Hour}, answer)
			if err == nil && (m.Secret.Empty() || m.Expires.After(now.Add(time.Hour)) || !m.Expires.After(now) || len(l.held) != 1) {
				t.Fatalf("%+v", m)
			}
		}
		for _, field := range []string{"password", ""} {
			if m, err := material(json.RawMessage(body), field); err == nil && m.Secret.Empty() {
				t.Fatal("an empty secret")
			}
		}
	})
}
