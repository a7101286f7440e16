package https

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
)

// A shown is a Source with one certificate, and perhaps a proof for a challenge.
type shown struct {
	cert, proof *tls.Certificate
}

func (s shown) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert, nil }
func (s shown) Challenge(*tls.ClientHelloInfo) (*tls.Certificate, error)   { return s.proof, nil }
func (s shown) Watch(ctx context.Context, _ func(), _ func(error)) error   { return endOf(ctx) }

func endOf(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// A pushed source tells its watchers of a change when it is made.
type pushed struct {
	mu       sync.Mutex
	watchers []func()
}

func (p *pushed) watch(ctx context.Context, changed func()) error {
	p.mu.Lock()
	p.watchers = append(p.watchers, changed)
	p.mu.Unlock()
	return endOf(ctx)
}

// push waits for the first watcher, which may be on its way.
func (p *pushed) push(t *testing.T) {
	t.Helper()
	until(t, "a watch", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.watchers) > 0
	})
	p.mu.Lock()
	watchers := p.watchers
	p.mu.Unlock()
	for _, changed := range watchers {
		changed()
	}
}

// trusted are Authorities that a test changes.
type trusted struct {
	pushed

	pool atomic.Pointer[x509.CertPool]
}

func trusting(pool *x509.CertPool) *trusted {
	a := &trusted{}
	a.pool.Store(pool)
	return a
}

func (a *trusted) Watch(ctx context.Context, changed func(), _ func(error)) error {
	return a.watch(ctx, changed)
}

func (a *trusted) Pool() *x509.CertPool { return a.pool.Load() }

// judged are Peers that a test changes.
type judged struct {
	pushed

	err   atomic.Pointer[error]
	calls atomic.Int64
}

func (j *judged) refuse(err error) { j.err.Store(&err) }

func (j *judged) Watch(ctx context.Context, changed func(), _ func(error)) error {
	return j.watch(ctx, changed)
}

func (j *judged) Accept([]*x509.Certificate) error {
	j.calls.Add(1)
	if err := j.err.Load(); err != nil {
		return *err
	}
	return nil
}

// shake makes one connection, and sends a byte to the client, since only then a client of
// TLS 1.3 knows whether its certificate is accepted.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Accept()
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	_, _ = a.SetDeadline(deadline), b.SetDeadline(deadline)
	one, other := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() {
		_, err := one.Write([]byte{1})
		done <- errors.Join(err, a.Close())
	}()
	_, err = io.ReadAll(other)
	state := other.ConnectionState()
	_ = b.Close()
	if failed := <-done; failed != nil {
		return state, errors.Join(failed, err)
	}
	return state, nil
}

type gateRig struct {
	root    *testpki.Authority
	clients *trusted
	peers   *judged
	gate    *gate
	now     func() time.Time
	late    atomic.Int64 // nanoseconds
}

func newGateRig(t *testing.T) *gateRig {
	t.Helper()
	r := &gateRig{root: testpki.New(t, "root"), peers: &judged{}}
	r.clients = trusting(r.root.Pool())
	r.now = func() time.Time { return time.Now().Add(time.Duration(r.late.Load())) }
	r.gate = newGate(shown{cert: r.root.Issue(t, "localhost")}, r.clients, r.peers)
	r.gate.now = r.now
	return r
}

func (r *gateRig) client(cert *tls.Certificate) *tls.Config {
	c := &tls.Config{RootCAs: r.root.Pool(), ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1), Time: r.now}
	if cert != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return c
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	const agent = "spiffe://example.org/agent"
	r := newGateRig(t)
	other := testpki.New(t, "root") // a namesake
	edit := func(change func(*x509.Certificate)) *tls.Certificate {
		c := testpki.Leaf(t, agent)
		change(c)
		return r.root.Sign(t, c, testpki.Key(t))
	}
	good := r.root.Issue(t, agent)
	for name, test := range map[string]struct {
		cert   *tls.Certificate
		client func(*tls.Config)
		want   string
	}{
		"good":                  {cert: good},
		"below an intermediate": {cert: r.root.Authority(t, "between", nil).Issue(t, agent)},
		"TLS 1.2":               {cert: good, client: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, want: "protocol version"},
		"no certificate":        {want: "didn't provide a certificate"},
		"certificate of a namesake of the authority": {cert: other.Issue(t, agent), want: "certificate"},
		"signed by a leaf":                           {cert: (&testpki.Authority{Cert: good.Leaf, Key: good.PrivateKey.(crypto.Signer), Above: good.Certificate}).Issue(t, agent), want: "certificate"},
		"expired":                                    {cert: edit(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), want: "expired"},
		"not valid yet":                              {cert: edit(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour / 2) }), want: "expired or is not yet valid"},
		"for servers only":                           {cert: edit(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), want: "usage"},
		"for no usage":                               {cert: edit(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), want: "lacks clientAuth"},
		"for any usage":                              {cert: edit(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), want: "lacks clientAuth"},
		"an authority":                               {cert: edit(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), want: "that of an authority"},
		"a common name only":                         {cert: edit(func(c *x509.Certificate) { c.URIs = nil }), want: "subject alternative name"},
		"X25519 only":                                {cert: good, client: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }},
		"P-521 only":                                 {cert: good, client: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521} }, want: "handshake failure"},
		"unknown protocol":                           {cert: good, client: func(c *tls.Config) { c.NextProtos = []string{"spdy/3"} }, want: "no application protocol"},
		"another name asked for":                     {cert: good, client: func(c *tls.Config) { c.ServerName = "evil.example" }, want: "not evil.example"},
		"challenge of an authority":                  {client: func(c *tls.Config) { c.NextProtos = []string{pki.ACMETLS1} }, want: "no challenge is pending"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.client(test.cert)
			if test.client != nil {
				test.client(c)
			}
			state, err := shake(t, r.gate.config(), c)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err == nil && (state.Version != tls.VersionTLS13 || c.CurvePreferences == nil && state.CurveID != tls.X25519MLKEM768) {
				t.Errorf("version %x, group %v", state.Version, state.CurveID)
			}
		})
	}
}

// What ends a client ends it on a session that is resumed, too.
func TestResumption(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(t *testing.T, r *gateRig)
		resumed bool
		want    string
	}{
		"nothing changed":   {func(*testing.T, *gateRig) {}, true, ""},
		"revoked":           {func(_ *testing.T, r *gateRig) { r.peers.refuse(errors.New("revoked")) }, false, "revoked"},
		"authority removed": {func(t *testing.T, r *gateRig) { t.Helper(); r.clients.pool.Store(testpki.New(t, "next").Pool()) }, false, "certificate"},
		"authority added": {func(t *testing.T, r *gateRig) {
			t.Helper()
			p := testpki.New(t, "next").Pool()
			p.AddCert(r.root.Cert)
			r.clients.pool.Store(p)
		}, false, ""},
		"no authorities any more":  {func(_ *testing.T, r *gateRig) { r.clients.pool.Store(nil) }, false, "no authorities"},
		"certificate has expired":  {func(_ *testing.T, r *gateRig) { r.late.Store(int64(2 * time.Hour)) }, false, "expired"},
		"server's own has changed": {func(_ *testing.T, r *gateRig) { r.gate.renew() }, false, ""},
		"the next key of tickets":  {func(_ *testing.T, r *gateRig) { r.late.Store(int64(ticketAge + time.Minute)) }, true, ""},
		"the key of tickets is old": {func(t *testing.T, r *gateRig) {
			t.Helper()
			r.late.Store(int64(ticketAge + time.Minute))
			_, _ = shake(t, r.gate.config(), r.client(nil))
			r.late.Store(int64(2*ticketAge + 2*time.Minute))
		}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newGateRig(t)
			leaf := testpki.Leaf(t, "spiffe://example.org/agent")
			server := testpki.Leaf(t, "localhost")
			server.NotAfter = time.Now().Add(100 * time.Hour)
			r.root = (&testpki.Authority{}).Authority(t, "root", func(c *x509.Certificate) { c.NotAfter = server.NotAfter })
			r.clients.pool.Store(r.root.Pool())
			r.gate.certs = shown{cert: r.root.Sign(t, server, testpki.Key(t))}
			if name != "certificate has expired" {
				leaf.NotAfter = server.NotAfter
			}
			config, client := r.gate.config(), r.client(r.root.Sign(t, leaf, testpki.Key(t)))
			if state, err := shake(t, config, client); err != nil || state.DidResume {
				t.Fatalf("first handshake: %v, resumed %v", err, state.DidResume)
			}
			before := r.peers.calls.Load()
			test.change(t, r)
			state, err := shake(t, config, client)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err == nil && (state.DidResume != test.resumed || r.peers.calls.Load() == before) {
				t.Errorf("resumed %v, judged %d times", state.DidResume, r.peers.calls.Load()-before)
			}
		})
	}
}

// An authority that asks for proof gets it, and nothing else: no other protocol, no session
// that could be resumed without a certificate.
func TestChallenge(t *testing.T) {
	t.Parallel()
	r := newGateRig(t)
	proof := testpki.New(t, "proof").Issue(t, "localhost")
	r.gate.certs = shown{cert: r.root.Issue(t, "localhost"), proof: proof}
	client := r.client(nil)
	client.NextProtos, client.InsecureSkipVerify = []string{pki.ACMETLS1}, true
	state, err := shake(t, r.gate.config(), client)
	if err != nil || state.NegotiatedProtocol != pki.ACMETLS1 || !state.PeerCertificates[0].Equal(proof.Leaf) {
		t.Fatalf("%v: %q", err, state.NegotiatedProtocol)
	}
	if state, err := shake(t, r.gate.config(), client); err != nil || state.DidResume {
		t.Errorf("%v, resumed %v", err, state.DidResume)
	}
	client.NextProtos = []string{"h2", "http/1.1"}
	if _, err := shake(t, r.gate.config(), client); err == nil {
		t.Error("without a certificate after a challenge")
	}
	client.NextProtos = []string{pki.ACMETLS1, "h2"}
	if _, err := shake(t, r.gate.config(), client); err == nil {
		t.Error("without a certificate under cover of a challenge")
	}
}

func TestGateWithoutClients(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	c := tlsConfig(shown{cert: root.Issue(t, "localhost")}, nil, nil)
	state, err := shake(t, c, &tls.Config{RootCAs: root.Pool(), ServerName: "localhost", NextProtos: []string{"http/1.1"}})
	if err != nil || state.NegotiatedProtocol != "http/1.1" {
		t.Errorf("%v: %q", err, state.NegotiatedProtocol)
	}
}

// Streams that are open are judged again with the same words.
func TestOpenStreamsAreJudgedAgain(t *testing.T) {
	t.Parallel()
	r := newGateRig(t)
	chain := r.root.Chain(t, r.root.Issue(t, "spiffe://example.org/agent"), r.root)
	cs := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{chain}}
	if got, err := r.gate.chain(cs); err != nil || len(got) != 2 {
		t.Fatal(err)
	}
	if err := errors.Join(r.gate.accepted(chain), r.gate.trusted(chain)); err != nil {
		t.Fatal(err)
	}
	r.clients.pool.Store(testpki.New(t, "root").Pool())
	if r.gate.trusted(chain) == nil {
		t.Error("trusted although the authority is gone")
	}
	r.clients.pool.Store(nil)
	if r.gate.trusted(chain) == nil {
		t.Error("trusted by nobody")
	}
	r.late.Store(int64(2 * time.Hour))
	if err := r.gate.accepted(chain); err == nil || !strings.Contains(err.Error(), "not valid") {
		t.Errorf("expired: %v", err)
	}
	r.late.Store(0)
	r.peers.refuse(errors.New("revoked"))
	if r.gate.accepted(chain) == nil {
		t.Error("accepted although revoked")
	}
	if _, err := r.gate.chain(cs); err == nil || err.Error() != "revoked" {
		t.Errorf("got %v", err)
	}
	if _, err := r.gate.chain(&tls.ConnectionState{PeerCertificates: chain}); err == nil {
		t.Error("a chain that nobody verified")
	}
}

// Changes come in the middle of handshakes, and none of them breaks one that is in order.
func TestHandshakesWhileEverythingChanges(t *testing.T) {
	t.Parallel()
	r := newGateRig(t)
	config := r.gate.config()
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		client := r.client(r.root.Issue(t, "spiffe://example.org/agent"))
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := shake(t, config, client); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		r.clients.pool.Store(r.root.Pool())
		r.gate.renew()
		if _, err := r.gate.terms(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	group.Wait()
}
