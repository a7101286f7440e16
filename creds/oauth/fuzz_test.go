package oauth

import (
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

var fuzzed = Exchange(Config{
	TokenURL: "https://login.example/token", ClientID: "c", Auth: ClientSecret(creds.Static([]byte("s"))),
	Audience: []string{"a"}, Scopes: []string{"s"},
}).(*exchange)

// fuzzAnswer checks that what is accepted keeps every promise.
func fuzzAnswer(t *testing.T, body []byte) {
	var answer tokenAnswer
	if rest.Decode(body, &answer) != nil {
		return
	}
	scope, now := answer.Scope, time.Now()
	m, err := fuzzed.accept(now, answer, true, []byte(subject))
	if err != nil {
		if !m.Secret.Empty() {
			t.Fatal("a secret beside an error")
		}
		return
	}
	switch secret := string(m.Secret.Reveal()); {
	case secret == "" || secret == subject || strings.ContainsAny(secret, "\r\n "):
		t.Fatalf("accepted the token %q", secret)
	case m.Expires.After(now.Add(time.Hour)) || m.Expires.IsZero():
		t.Fatalf("expires %v", m.Expires)
	case scope != nil && strings.Trim(*scope, " \t\n\v\f\rs\u0085\u00a0") != "" && !fuzzed.within(*scope):
		t.Fatalf("accepted scope %q", *scope)
	}
}
