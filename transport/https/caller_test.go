package https

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
)

// What is remembered of a connection is not for the next caller on it: a gateway may send
// requests of many.
func TestManyCallersOnOneConnection(t *testing.T) {
	t.Parallel()
	s := newRig(t, nil).server
	ctx := withConnection(t.Context(), nil)
	ask := func(token string) (*caller, string) {
		r := request(ctx, "")
		r.Header.Set("Authorization", "Bearer "+token)
		c, r, f := s.authenticate(r)
		if f != nil {
			return nil, f.denial.Reason
		}
		p, _ := mcpsec.PrincipalFrom(r.Context()) //nolint:contextcheck // it is what is tested
		return c, p.Subject
	}
	for _, token := range []string{"alice", "bob", "alice", "alice/2", "bad", "bob"} {
		c, who := ask(token)
		want, _, _ := strings.Cut(token, "/")
		if token == "bad" {
			want = `the token is no "good"`
		}
		if who != want || c != nil && c.identity.Secret() != token {
			t.Errorf("%s became %s", token, who)
		}
	}
	s.Freeze(of("bob"), "a stolen token")
	if c, who := ask("bob"); c != nil {
		t.Errorf("frozen and let in as %s", who)
	}
}

// The same identity on the same connection is the same caller, at no further cost.
func TestCallerIsRemembered(t *testing.T) {
	t.Parallel()
	known := &tokens{gone: map[string]bool{}}
	r := request(withConnection(t.Context(), nil), "")
	r.Header.Set("Authorization", "Bearer alice")
	id, err := known.Authenticate(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newRig(t, func(c *Config) { c.Tokens = cached{known, id} }).server
	first, _, _ := s.authenticate(r)
	second, _, _ := s.authenticate(r)
	if first == nil || first != second {
		t.Errorf("%p and %p", first, second)
	}
}

// One customer has 2^64 addresses of IPv6, and not as many times the limits.
func TestLimitsOfAddresses(t *testing.T) {
	t.Parallel()
	s := newRig(t, func(c *Config) { c.Tokens, c.AllowAnonymous = nil, true }).server
	ask := func(address string) *caller {
		r := request(withConnection(t.Context(), nil), "")
		r.RemoteAddr = address
		c, _, f := s.authenticate(r)
		if f != nil {
			t.Fatal(f.denial)
		}
		return c
	}
	a, b, other := ask("[2001:db8::1]:1"), ask("[2001:db8::2]:1"), ask("[2001:db8:0:1::1]:1")
	if a.holder.Key != b.holder.Key || a.holder.Key == other.holder.Key {
		t.Errorf("counted as %q, %q and %q", a.holder.Key, b.holder.Key, other.holder.Key)
	}
	if a.key == b.key {
		t.Errorf("both are %q: one could use the sessions of the other", a.key)
	}
	if a, b := ask("192.0.2.1:1"), ask("192.0.2.2:1"); a.holder.Key == b.holder.Key {
		t.Errorf("both are counted as %q", a.holder.Key)
	}
}

// HTTP/2 has two places for the host.
func TestTwoHosts(t *testing.T) {
	t.Parallel()
	s := newRig(t, nil).server
	for host, want := range map[string]int{"localhost": 200, "evil.example": 400, "LOCALHOST": 400} {
		r := request(withConnection(t.Context(), nil), "")
		r.Header["Host"] = []string{host}
		r.Header.Set("Authorization", "Bearer alice")
		w := &memory{head: make(http.Header)}
		s.serveHTTP(w, r)
		if w.code != want {
			t.Errorf("%s: %d %s", host, w.code, w.body.Bytes())
		}
	}
}

// What strangers cause in any number is told once a minute.
func TestTally(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, now := slog.New(slog.NewTextHandler(&out, nil)), time.Now()
	tally := tally{what: "knocks"}
	tally.tell(log, now)
	for range 3 {
		tally.add("192.0.2.1:1")
		tally.tell(log, now)
	}
	tally.tell(log, now.Add(tellEvery))
	tally.tell(log, now.Add(tellEvery))
	if got := strings.Count(out.String(), "knocks"); got != 2 || !strings.Contains(out.String(), "count=1 last=192.0.2.1:1") || !strings.Contains(out.String(), "count=2") {
		t.Error(out.String())
	}
}

// Connections beyond the bounds and requests for what is not there are counted.
func TestStrangersAreCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Limits.ConnsPer = 1 })
	if a := r.do("GET", "/wp-login.php", ""); a.Status != 404 {
		t.Fatal(a.Status)
	}
	until(t, "an unknown path", func() bool { return r.server.astray.last.Load() != nil })
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.addr)
	switch {
	case err == nil:
		defer func() { _ = conn.Close() }()
	case !errors.Is(err, syscall.ECONNRESET): // which is how quickly it is dropped
		t.Fatal(err)
	}
	until(t, "a connection too many", func() bool { return r.server.dropped.last.Load() != nil })
}

// A warning that finds all writers of comments busy is given later, not never.
func TestWarningWaitsForBusyWriters(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.server.newResponse(&memory{head: make(http.Header)}, request(t.Context(), ""), func() {})
	h := &stream.Holder{Key: "k", Expires: time.Now().Add(20 * time.Second)}
	e, err := r.server.streams.Enter(stream.Stream, h, p)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Leave()
	for range maxTasks { // readers that take nothing hold one each
		r.server.busy <- struct{}{}
	}
	if p.Warn(h.Expires) {
		t.Error("it was taken")
	}
	for range maxTasks {
		<-r.server.busy
	}
	until(t, "a warning", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.status == 200 })
}

// A judge that panics ends one round and not the watch.
func TestSweepGoesOn(t *testing.T) {
	t.Parallel()
	s := newRig(t, nil).server
	e, err := s.streams.Enter(stream.Stream, &stream.Holder{Key: "k"}, panicking{&eventCall{cancel: func() {}}})
	if err != nil {
		t.Fatal(err)
	}
	s.round()
	e.Leave()
	ctx, cancel := context.WithCancel(t.Context())
	e, err = s.streams.Enter(stream.Stream, &stream.Holder{Key: "k", Expires: time.Unix(1, 0)}, &eventCall{cancel: cancel})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Leave()
	<-ctx.Done()
	if e.Ended() != stream.Expired {
		t.Error(e.Ended().String())
	}
}

type panicking struct{ *eventCall }

// Beat panics.
func (panicking) Beat(time.Time) { panic("no heart") }
