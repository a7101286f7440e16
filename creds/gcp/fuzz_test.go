package gcp

import (
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

func decode(body []byte, v any) error { return rest.Decode(body, v) }

func FuzzTokenAnswer(f *testing.F) {
	f.Add([]byte(`{"access_token":"a","token_type":"Bearer","expires_in":60}`), true)
	f.Fuzz(func(t *testing.T, body []byte, narrowed bool) {
		var answer tokenAnswer
		if decode(body, &answer) != nil {
			return
		}
		var source *time.Time
		if end := clock.Add(time.Minute); narrowed {
			source = &end
		}
		b, err := answer.accept(clock, []byte("sent"), source)
		switch {
		case err != nil && b.token != nil:
			t.Fatal("a token beside an error")
		case err == nil && (len(b.token) == 0 || b.expires.After(clock.Add(rest.MaxLife)) || narrowed && b.expires.After(*source)):
			t.Fatalf("accepted until %v", b.expires)
		}
	})
}
