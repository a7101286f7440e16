package spiffe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// A Config says where the Workload API is and what to take from it.
type Config struct {
	// Socket is the API's address: "unix:///run/spire/sockets/agent.sock" or
	// "tcp://127.0.0.1:8081". Empty means the environment variable SPIFFE_ENDPOINT_SOCKET.
	Socket string
	// ID is which of this workload's identities is shown; empty means the first one.
	ID string
	// Federated are trust domains besides the own whose members are verified, too, if the API
	// sends their authorities.
	Federated []string
}

const (
	// firstWait bounds the wait for the first certificate.
	firstWait = 30 * time.Second
	// retry is how long a stream that was refused for good is left alone.
	retry = 5 * time.Second
	// maxAuthorities bounds those of all trust domains.
	maxAuthorities = 1000
)

// A Source is what the Workload API says: a pki.Source and the pki.Authorities of the trust
// domain. It is safe for concurrent use.
type Source struct {
	client    *workloadapi.Client
	id        string
	federated []spiffeid.TrustDomain
	now       func() time.Time

	mu      sync.Mutex // of updates
	current atomic.Pointer[state]
}

var (
	_ pki.Source      = (*Source)(nil)
	_ pki.Authorities = (*Source)(nil)
)

// A state is one answer of the API.
type state struct {
	cert        *tls.Certificate
	pool        *x509.CertPool
	authorities map[spiffeid.TrustDomain][]*x509.Certificate
	version     uint64
}

// New connects to the Workload API and waits for the first certificate, until ctx ends but
// at most 30 seconds. Close the source.
func New(ctx context.Context, c Config) (*Source, error) {
	s := &Source{id: c.ID, now: time.Now}
	for _, name := range c.Federated {
		domain, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			return nil, fmt.Errorf("spiffe: Config.Federated: %q: %w", name, err)
		}
		s.federated = append(s.federated, domain)
	}
	if c.ID != "" {
		if _, err := spiffeid.FromString(c.ID); err != nil {
			return nil, fmt.Errorf("spiffe: Config.ID: %w", err)
		}
	}
	var options []workloadapi.ClientOption
	if c.Socket != "" {
		options = append(options, workloadapi.WithAddr(c.Socket))
	}
	ctx, cancel := context.WithTimeout(ctx, firstWait)
	defer cancel()
	client, err := workloadapi.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("spiffe: the Workload API: %w", err)
	}
	s.client = client
	first, err := client.FetchX509Context(ctx)
	if err == nil {
		err = s.take(first)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spiffe: the Workload API: %w", err), client.Close())
	}
	return s, nil
}

// Close ends the connection to the Workload API. End the contexts of Watch before.
func (s *Source) Close() error { return s.client.Close() }

// Certificate implements pki.Source. It returns an error once the certificate has expired.
func (s *Source) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert := s.current.Load().cert
	if s.now().After(cert.Leaf.NotAfter) {
		return nil, fmt.Errorf("spiffe: the certificate of %v has expired, and the Workload API has sent no other", cert.Leaf.URIs)
	}
	return cert, nil
}

// Pool implements pki.Authorities. An authority in it is trusted for members of its own
// trust domain only.
func (s *Source) Pool() *x509.CertPool { return s.current.Load().pool }

// ID returns the SPIFFE ID that is shown.
func (s *Source) ID() string { return s.current.Load().cert.Leaf.URIs[0].String() }

// Watch implements pki.Source and pki.Authorities.
func (s *Source) Watch(ctx context.Context, changed func(), fault func(error)) error {
	w := &watcher{source: s, over: func() bool { return ctx.Err() != nil }, changed: changed, fault: fault, seen: s.current.Load().version}
	for {
		err := s.client.WatchX509Context(ctx, w)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.tell(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retry):
		}
	}
}

// take checks an answer and takes it, whole or not at all.
func (s *Source) take(c *workloadapi.X509Context) error {
	svid, err := s.pick(c.SVIDs)
	if err != nil {
		return err
	}
	own := svid.ID.TrustDomain()
	authorities := make(map[spiffeid.TrustDomain][]*x509.Certificate)
	count := 0
	for _, bundle := range c.Bundles.Bundles() {
		domain := bundle.TrustDomain()
		if domain == own || slices.Contains(s.federated, domain) {
			authorities[domain] = bundle.X509Authorities()
			count += len(authorities[domain])
		}
	}
	switch {
	case len(authorities[own]) == 0:
		return fmt.Errorf("it has no authorities of the trust domain %v", own)
	case count > maxAuthorities:
		return fmt.Errorf("it has %d authorities: %d are the most", count, maxAuthorities)
	}
	next := &state{cert: &tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]}, authorities: authorities}
	for _, cert := range svid.Certificates {
		next.cert.Certificate = append(next.cert.Certificate, cert.Raw)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.Load()
	switch {
	case old == nil:
		next.pool = pool(authorities)
	case same(old.authorities, authorities) && old.cert.Leaf.Equal(next.cert.Leaf):
		return nil
	case same(old.authorities, authorities):
		next.pool, next.version = old.pool, old.version+1
	default:
		next.pool, next.version = pool(authorities), old.version+1
	}
	s.current.Store(next)
	return nil
}

// pick returns the identity that is to be shown, if it is good now.
func (s *Source) pick(svids []*x509svid.SVID) (*x509svid.SVID, error) {
	for _, svid := range svids {
		if s.id != "" && svid.ID.String() != s.id {
			continue
		}
		leaf, now := svid.Certificates[0], s.now()
		if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			return nil, fmt.Errorf("the certificate of %v is not valid now", svid.ID)
		}
		return svid, nil
	}
	if s.id != "" {
		return nil, fmt.Errorf("this workload has no identity %s", s.id)
	}
	return nil, errors.New("this workload has no identity")
}

func same(a, b map[spiffeid.TrustDomain][]*x509.Certificate) bool {
	if len(a) != len(b) {
		return false
	}
	for domain, certs := range a {
		if !slices.EqualFunc(certs, b[domain], (*x509.Certificate).Equal) {
			return false
		}
	}
	return true
}

// pool returns the authorities, each for its own trust domain.
func pool(authorities map[spiffeid.TrustDomain][]*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for domain, certs := range authorities {
		for _, cert := range certs {
			p.AddCertWithConstraint(cert, func(chain []*x509.Certificate) error { return member(chain[0], domain) })
		}
	}
	return p
}

// member returns why a certificate is of no member of a trust domain, or nil.
func member(leaf *x509.Certificate, domain spiffeid.TrustDomain) error {
	id, err := x509svid.IDFromCert(leaf)
	if err != nil {
		return fmt.Errorf("spiffe: %w", err)
	}
	if !id.MemberOf(domain) {
		return fmt.Errorf("spiffe: %v is certified by an authority of %v", id, domain)
	}
	return nil
}

// A watcher is one Watch: workloadapi tells it what comes.
type watcher struct {
	source  *Source
	over    func() bool // its context has ended, which is no fault
	changed func()
	fault   func(error)
	seen    uint64
	told    string
}

// OnX509ContextUpdate is called when there is an answer.
func (w *watcher) OnX509ContextUpdate(c *workloadapi.X509Context) {
	if err := w.source.take(c); err != nil {
		w.tell(err)
		return
	}
	w.told = ""
	if now := w.source.current.Load().version; now != w.seen {
		w.seen = now
		w.changed()
	}
}

// OnX509ContextWatchError is called when there is none.
func (w *watcher) OnX509ContextWatchError(err error) { w.tell(err) }

// tell tells a fault once.
func (w *watcher) tell(err error) {
	if err == nil || w.over() || err.Error() == w.told {
		return
	}
	w.told = err.Error()
	w.fault(fmt.Errorf("spiffe: the Workload API: %w", err))
}
