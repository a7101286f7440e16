package mcpsec

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func TestIDsAreUUIDv7AndSortByTime(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	var ids []string
	now := time.Unix(1_795_000_000, 0)
	for range 1000 {
		id := newID(now)
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
		ids = append(ids, id)
		now = now.Add(time.Microsecond)
	}
	if !slices.IsSorted(ids) {
		t.Error("ids a microsecond apart do not sort by time")
	}
	if ms := newID(time.UnixMilli(0x0123456789ab)); !strings.HasPrefix(ms, "01234567-89ab-7") {
		t.Errorf("milliseconds in %q", ms)
	}
}

func TestPrincipalLadder(t *testing.T) {
	t.Parallel()
	spiffe, _ := url.Parse("spiffe://example.org/agent")
	web, _ := url.Parse("https://example.org")
	issuer := pkix.Name{CommonName: "Test CA"}
	cert := func(c x509.Certificate) Peer {
		c.Issuer = issuer
		return Peer{Addr: "192.0.2.7:4711", Certificates: []*x509.Certificate{&c}}
	}
	tests := []struct {
		name string
		peer Peer
		want string
	}{
		{"nothing known is one bucket", Peer{}, `anonymous`},
		{"address without port", Peer{Addr: "192.0.2.7:4711"}, `address "" "192.0.2.7" "" ""`},
		{"IPv6 address", Peer{Addr: "[2001:db8::1]:4711"}, `address "" "2001:db8::1" "" ""`},
		{"address that has no port", Peer{Addr: "pipe"}, `address "" "pipe" "" ""`},
		{"process before address", Peer{Addr: "x:1", Process: "uid:7"}, `process "" "uid:7" "" ""`},
		{"SPIFFE before other names", cert(x509.Certificate{DNSNames: []string{"a"}, URIs: []*url.URL{web, spiffe}}), `certificate "CN=Test CA" "spiffe://example.org/agent" "" ""`},
		{"URI name", cert(x509.Certificate{URIs: []*url.URL{web}}), `certificate "CN=Test CA" "https://example.org" "" ""`},
		{"DNS name", cert(x509.Certificate{DNSNames: []string{"a.example"}}), `certificate "CN=Test CA" "a.example" "" ""`},
		{"mail name", cert(x509.Certificate{EmailAddresses: []string{"a@b"}}), `certificate "CN=Test CA" "a@b" "" ""`},
		{"address name", cert(x509.Certificate{IPAddresses: []net.IP{net.IPv4(1, 2, 3, 4)}}), `certificate "CN=Test CA" "1.2.3.4" "" ""`},
		{"a certificate without a name does not hide the process", func() Peer {
			p := cert(x509.Certificate{})
			p.Process = "uid:7"
			return p
		}(), `process "" "uid:7" "" ""`},
		{"a common name is no identity", cert(x509.Certificate{Subject: pkix.Name{CommonName: "root"}}), `address "" "192.0.2.7" "" ""`},
	}
	for _, test := range tests {
		p := test.peer.Principal()
		if p.Key() != test.want || p.makeKey() != test.want || p.String() != test.want {
			t.Errorf("%s: %s, want %s", test.name, p.Key(), test.want)
		}
	}
}

func TestTokenPrincipal(t *testing.T) {
	t.Parallel()
	p, ok := tokenPrincipal(&auth.TokenInfo{UserID: "fallback", Scopes: []string{"a"}, Extra: map[string]any{
		"iss": "https://idp", "sub": "alice", "azp": "cli", "tid": "t1",
		"act": map[string]any{"sub": "agent", "act": map[string]any{"sub": "orchestrator"}},
	}})
	if !ok || p.Key() != `token "https://idp" "alice" "cli" "t1"` || !slices.Equal(p.Actors, []string{"agent", "orchestrator"}) {
		t.Errorf("%+v", p)
	}
	if p, ok := tokenPrincipal(&auth.TokenInfo{UserID: "bob"}); !ok || p.Subject != "bob" {
		t.Errorf("user id: %+v", p)
	}
	for name, info := range map[string]*auth.TokenInfo{"none": nil, "no subject": {}, "subject of another type": {Extra: map[string]any{"sub": 7}}} {
		if _, ok := tokenPrincipal(info); ok {
			t.Errorf("%s is an identity", name)
		}
	}
	endless := map[string]any{"sub": "a"}
	endless["act"] = endless
	if p, _ := tokenPrincipal(&auth.TokenInfo{UserID: "x", Extra: map[string]any{"act": endless}}); len(p.Actors) != maxActors {
		t.Errorf("an endless delegation chain became %d actors", len(p.Actors))
	}
	// Parts that contain the separators of the key stay apart.
	a := Principal{Rung: Token, Issuer: `a" "b`, Subject: "c"}
	b := Principal{Rung: Token, Issuer: "a", Subject: `b" "c`}
	if a.Key() == b.Key() {
		t.Error("two principals share a key")
	}
}

func TestSealer(t *testing.T) {
	t.Parallel()
	s, err := newSealer(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_795_000_000, 0)
	alice, mallory := Principal{Rung: Token, Subject: "alice"}, Principal{Rung: Token, Subject: "mallory"}
	text, err := s.seal("p", alice, now.Add(time.Minute), "secret")
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := s.open("p", alice, now, text, &got); err != nil || got != "secret" {
		t.Fatalf("%q, %v", got, err)
	}
	other, _ := newSealer(nil)
	flipped := []byte(text)
	flipped[len(flipped)/2] ^= 1
	for name, err := range map[string]error{
		"another principal": s.open("p", mallory, now, text, &got),
		"another purpose":   s.open("q", alice, now, text, &got),
		"expired":           s.open("p", alice, now.Add(time.Minute+time.Millisecond), text, &got),
		"another key":       other.open("p", alice, now, text, &got),
		"a flipped bit":     s.open("p", alice, now, string(flipped), &got),
		"cut":               s.open("p", alice, now, text[:10], &got),
		"not base64":        s.open("p", alice, now, "!!!", &got),
		"empty":             s.open("p", alice, now, "", &got),
	} {
		if err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	short, _ := s.seal("p", alice, now, "a")
	long, _ := s.seal("p", alice, now, strings.Repeat("a", 90))
	if len(short) != len(long) {
		t.Errorf("the length of a name shows: %d and %d", len(short), len(long))
	}
}

func FuzzSealerOpen(f *testing.F) {
	s, err := newSealer(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_795_000_000, 0)
	good, _ := s.seal("p", Principal{}, now.Add(time.Hour), "x")
	f.Add(good)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		var got string
		if err := s.open("p", Principal{}, now, text, &got); err == nil && got != "x" {
			t.Fatalf("opened %q as %q", text, got)
		}
	})
}

func TestPendingRoundsAreBounded(t *testing.T) {
	t.Parallel()
	var p pendingRounds
	now := time.Unix(1_795_000_000, 0)
	who := func(i int) Principal { return Principal{Rung: Address, Subject: strconv.Itoa(i)} }
	for i := range maxPendingEach {
		if !p.put(newID(now), 0, who(0), now, now.Add(time.Duration(i+1)*time.Second)) {
			t.Fatalf("refused at %d", i)
		}
	}
	if p.put("one more", 0, who(0), now, now.Add(time.Hour)) {
		t.Fatal("one principal took more than its share")
	}
	if !p.put("another's", 0, who(1), now, now.Add(time.Hour)) {
		t.Fatal("one principal took the place of another")
	}
	for i := maxPendingEach; i < maxPending-1; i++ {
		if !p.put(newID(now), 0, who(i), now, now.Add(time.Minute)) {
			t.Fatalf("refused at %d", i)
		}
	}
	if p.put("beyond all", 0, who(-1), now, now.Add(time.Hour)) {
		t.Fatal("grew beyond the bound")
	}
	later := now.Add(90 * time.Minute)
	if !p.put("after some expired", 0, who(0), later, later.Add(time.Hour)) {
		t.Fatal("expired rounds keep their places")
	}
	if issued, unused := p.use("after some expired", 0, who(0), true, later, later.Add(time.Hour)); !issued || !unused {
		t.Fatal("an issued state cannot be used")
	}
	if issued, unused := p.use("of another process", 0, who(0), true, later, later.Add(time.Hour)); issued || !unused {
		t.Fatal("a state of another process was taken for an own or a used one")
	}
	if _, unused := p.use("of another process", 0, who(0), true, later, later.Add(time.Hour)); unused {
		t.Fatal("a state of another process can be used twice")
	}
}

func TestArgumentsDigestIgnoresFormOnly(t *testing.T) {
	t.Parallel()
	same := [][2]string{{`{"a":1,"b":[2]}`, ` {"b": [2], "a":1}`}, {``, `null`}}
	differ := [][2]string{{`{"a":1}`, `{"a":2}`}, {`{"a":9007199254740993}`, `{"a":9007199254740992}`}, {`[1,2]`, `[2,1]`}, {`{"a":"1"}`, `{"a":1}`}}
	for _, p := range same {
		if !slices.Equal(argumentsDigest([]byte(p[0])), argumentsDigest([]byte(p[1]))) {
			t.Errorf("%s and %s differ", p[0], p[1])
		}
	}
	for _, p := range differ {
		if slices.Equal(argumentsDigest([]byte(p[0])), argumentsDigest([]byte(p[1]))) {
			t.Errorf("%s and %s are the same", p[0], p[1])
		}
	}
}

func TestCodesAreExplained(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, c := range Codes() {
		if seen[c.Name] || !strings.HasPrefix(c.Name, "guard.") || c.Meaning == "" || c.Remedy == "" {
			t.Errorf("code %+v", c)
		}
		seen[c.Name] = true
	}
}

func TestNamesOfEnumerations(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		Stage(0).String(): "Stage(0)", StageCreds.String(): "creds", Mode(9).String(): "Mode(9)", Observe.String(): "audit",
		Enforce.String(): "enforce", Kind(-1).String(): "Kind(-1)", Crashed.String(): "crashed", Rung(9).String(): "Rung(9)", Token.String(): "token",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A server whose templates change with every question is not remembered for ever by who
// subscribes and never reads.
func TestTemplatesThatAreGoneAreForgotten(t *testing.T) {
	t.Parallel()
	s := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	g, err := New(Settings{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	if err := g.Install(s); err != nil {
		t.Fatal(err)
	}
	near, far := mcp.NewInMemoryTransports()
	ss, err := s.Connect(t.Context(), g.Transport(far, Peer{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ss.Wait() })
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).
		Connect(t.Context(), near, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cs.Close() })
	for i := range 20 {
		template := "x" + strconv.Itoa(i) + "://{id}"
		s.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: template, Name: "x"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{}, nil
		})
		if err := cs.Subscribe(t.Context(), &mcp.SubscribeParams{URI: "x" + strconv.Itoa(i) + "://1"}); err != nil {
			t.Error(err)
		}
		s.RemoveResourceTemplates(template)
	}
	g.catalog.mu.Lock()
	defer g.catalog.mu.Unlock()
	if n := len(g.catalog.compiled); n > 1 {
		t.Errorf("%d templates are remembered, of which none is left", n)
	}
}
