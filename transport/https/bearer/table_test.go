package bearer

import (
	"testing"
	"time"
)

func TestTableForgetsWhatIsNotInUse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	long := claimset{"exp": time.Now().Add(time.Hour).Unix()}
	stream := r.good(t, r.issuer.Token(t, endpoint, long))
	for range 10 {
		r.good(t, r.issuer.Token(t, endpoint, long))
	}
	for range 5 {
		r.clock.add(time.Minute)
		if err := stream.Still(); err != nil { // as streams do
			t.Fatal(err)
		}
		r.tokens.clean(r.clock.now())
	}
	if n := len(r.tokens.grants); n != 1 {
		t.Errorf("%d tokens are kept, one is in use", n)
	}
	r.clock.add(time.Hour)
	_ = stream.Still() // a stream whose end was missed keeps nothing
	r.tokens.clean(r.clock.now())
	if n := len(r.tokens.grants); n != 0 {
		t.Errorf("%d tokens that have ended are kept", n)
	}
}

func TestFullTableForgetsNobodyInUse(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxTokens = 4 }, introspected(nil))
	token := func() string {
		text := r.issuer.Token(t, endpoint, nil)
		r.issuer.Inform(text, claimset{"active": true})
		return text
	}
	first := token()
	id := r.good(t, first)
	for range 20 {
		r.good(t, token()) // good, though most are not kept
	}
	if n := len(r.tokens.grants); n != 4 {
		t.Errorf("%d tokens are kept", n)
	}
	if r.good(t, first) != id {
		t.Error("the first is not kept")
	}
	late := token()
	other := r.good(t, late)
	r.issuer.Inform(late, nil)
	r.clock.add(40 * time.Second)
	if other.Still() == nil {
		t.Error("a token that is not kept is believed for ever")
	}
	r.clock.add(2 * time.Minute)
	fresh := token()
	if again := r.good(t, fresh); r.good(t, fresh) != again {
		t.Error("there is place, and a fresh token is not kept")
	}
}
