package https

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/pki"
)

// ticketAge is how long one key seals session tickets. Tickets of the key before are
// accepted as long again.
const ticketAge = 12 * time.Hour

// groups are the key exchanges, best first: the hybrid one keeps what is recorded today
// from being read by a quantum computer later.
var groups = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}

// A gate judges handshakes by what certificates, authorities and peers are at that moment.
type gate struct {
	certs   pki.Source
	clients pki.Authorities // nil: no certificates are asked for
	peers   pki.Peers       // nil: whatever the authorities have issued
	now     func() time.Time

	current atomic.Pointer[terms]
	mu      sync.Mutex // of the next terms
}

// terms hold for handshakes until something changes: sessions that were made under them are
// not resumed under others.
type terms struct {
	config *tls.Config
	pool   *x509.CertPool
	keys   [][32]byte // of tickets, the one in use first
	since  time.Time  // of the key in use
}

func newGate(certs pki.Source, clients pki.Authorities, peers pki.Peers) *gate {
	return &gate{certs: certs, clients: clients, peers: peers, now: time.Now}
}

// tlsConfig returns the configuration of a listener: TLS 1.3 only, and client certificates
// exactly if there are authorities for them.
func tlsConfig(certs pki.Source, clients pki.Authorities, peers pki.Peers) *tls.Config {
	return newGate(certs, clients, peers).config()
}

// config returns the configuration of a listener, which asks the gate in each handshake.
func (g *gate) config() *tls.Config {
	c := g.base()
	c.GetConfigForClient = g.forClient
	return c
}

func (g *gate) base() *tls.Config {
	return &tls.Config{
		MinVersion:       tls.VersionTLS13,
		CurvePreferences: groups,
		NextProtos:       []string{"h2", "http/1.1"},
		GetCertificate:   g.certs.Certificate,
		Time:             g.now,
	}
}

// renew is called after a change. What was agreed before cannot be resumed after it.
func (g *gate) renew() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current.Store(nil)
}

func (g *gate) forClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if c, err := g.challenge(hello); c != nil || err != nil {
		return c, err
	}
	t, err := g.terms()
	if err != nil {
		return nil, err
	}
	return t.config, nil
}

// challenge answers an authority that wants proof, as TLS-ALPN-01 does (RFC 8737): on a
// connection for that alone, on which no HTTP is spoken.
func (g *gate) challenge(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	source, ok := g.certs.(pki.Challenged)
	if !ok || len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != pki.ACMETLS1 {
		return nil, nil
	}
	proof, err := source.Challenge(hello)
	if err != nil {
		return nil, err
	}
	if proof == nil {
		return nil, errors.New("https: no challenge is pending for that name")
	}
	c := g.base()
	c.NextProtos = []string{pki.ACMETLS1}
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return proof, nil }
	c.SessionTicketsDisabled = true
	return c, nil
}

// terms returns those that hold now.
func (g *gate) terms() (*terms, error) {
	pool := g.pool()
	fresh := func(t *terms) bool {
		return t != nil && t.pool == pool && g.now().Sub(t.since) < ticketAge
	}
	if t := g.current.Load(); fresh(t) {
		return t, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.current.Load()
	if fresh(old) {
		return old, nil
	}
	if g.clients != nil && pool == nil {
		// Without a pool, crypto/tls would trust every authority of the system.
		return nil, errors.New("https: no client can be verified: Config.Clients has no authorities")
	}
	next := &terms{pool: pool, since: g.now(), keys: make([][32]byte, 1, 2)}
	if _, err := rand.Read(next.keys[0][:]); err != nil {
		return nil, err
	}
	if old != nil && old.pool == pool && next.since.Sub(old.since) < 2*ticketAge {
		next.keys = append(next.keys, old.keys[0])
	}
	next.config = g.base()
	if g.clients != nil {
		next.config.ClientAuth = tls.RequireAndVerifyClientCert
		next.config.ClientCAs = pool
		next.config.VerifyConnection = func(cs tls.ConnectionState) error {
			_, err := g.chain(&cs)
			return err
		}
	}
	next.config.SetSessionTicketKeys(next.keys)
	g.current.Store(next)
	return next, nil
}

func (g *gate) pool() *x509.CertPool {
	if g.clients == nil {
		return nil
	}
	return g.clients.Pool()
}

// chain returns the client's certificates, leaf first: the first of the verified chains
// that is accepted. Resumed handshakes are judged like all others.
func (g *gate) chain(cs *tls.ConnectionState) ([]*x509.Certificate, error) {
	err := errors.New("https: no client certificate was verified")
	for _, chain := range cs.VerifiedChains {
		if err = g.accepted(chain); err == nil {
			return chain, nil
		}
	}
	return nil, err
}

// accepted returns why the certificates of a client, whose signatures were verified, are
// not acceptable now. It is cheap.
func (g *gate) accepted(chain []*x509.Certificate) error {
	if err := pki.Suitable(chain, x509.ExtKeyUsageClientAuth); err != nil {
		return err
	}
	now := g.now()
	for _, c := range chain {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return fmt.Errorf("https: the certificate of %q is not valid at %s", c.Subject, now.UTC().Format(time.RFC3339))
		}
	}
	if g.peers == nil {
		return nil
	}
	return g.peers.Accept(chain)
}

// trusted returns why a client's certificates do not lead to an authority that is trusted
// now. It verifies signatures: ask it when the authorities have changed.
func (g *gate) trusted(chain []*x509.Certificate) error {
	pool := g.pool()
	if pool == nil || len(chain) == 0 {
		return errors.New("https: there is nothing to verify the client's certificate with")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: between, CurrentTime: g.now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}
