package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mcpsec/mcpsec-go/internal/regular"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"go.uber.org/zap"
)

// LetsEncrypt is the directory of Let's Encrypt.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// A Config says for which names to get certificates, and from whom.
type Config struct {
	// Domains are the server's names. A client that asks for none of them is shown the
	// certificate of the first.
	Domains []string
	// Folder keeps certificates and keys; it is made if it is missing, for its owner alone.
	Folder string
	// Agreed says that you agree to the authority's terms of service. It must.
	Agreed bool
	// Email, if not empty, is where the authority writes to.
	Email string
	// Directory is the authority's; empty means LetsEncrypt.
	Directory string
	// Roots are who certifies the authority's own API; nil means those of the system.
	Roots *x509.CertPool
}

const (
	maxDomains = 100
	// checkEvery is how often certificates are looked at; they are renewed in the last third
	// of their life.
	checkEvery = 10 * time.Minute
	// firstRetry is how long to wait after the first fault, and lastRetry at the most: the
	// limits of public authorities are narrow.
	firstRetry = 10 * time.Second
	lastRetry  = time.Hour
)

// A Source has certificates of an authority: it is a pki.Source and pki.Challenged. It is
// safe for concurrent use.
type Source struct {
	domains []string
	cache   *certmagic.Cache
	config  *certmagic.Config
	issuer  *issuer
	working sync.Mutex // held by the Watch that gets and renews

	mu    sync.Mutex
	certs map[string]*tls.Certificate // by domain
	fault error                       // the last one
	times uint64                      // changes
	news  chan struct{}               // closed at the next one
}

var _ pki.Challenged = (*Source)(nil)

// New reads what certificates the folder has. The others are asked for when Watch runs,
// which needs the listener to be open. Close the source.
func New(c Config) (*Source, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("acme: %w", err)
	}
	storage := &certmagic.FileStorage{Path: c.Folder}
	s := &Source{certs: make(map[string]*tls.Certificate), news: make(chan struct{}), issuer: newIssuer(c, storage)}
	for _, domain := range c.Domains {
		s.domains = append(s.domains, strings.ToLower(domain))
	}
	s.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return s.config, nil },
		RenewCheckInterval: checkEvery, OCSPCheckInterval: 24 * time.Hour, Logger: zap.NewNop(),
	})
	s.config = certmagic.New(s.cache, certmagic.Config{
		Storage: storage, Issuers: []certmagic.Issuer{s.issuer}, Logger: zap.NewNop(), OnEvent: s.event,
		DisableARI: true,
		OCSP:       certmagic.OCSPConfig{DisableStapling: true}, // renewal is soon enough
	})
	for _, domain := range s.domains {
		// None there is no fault: Watch gets it.
		if c, err := s.config.CacheManagedCertificate(context.Background(), domain); err == nil {
			s.set(domain, &c.Certificate)
		}
	}
	return s, nil
}

func (c *Config) check() error {
	if c.Directory == "" {
		c.Directory = LetsEncrypt
	}
	switch u, err := url.Parse(c.Directory); {
	case err != nil || u.Scheme != "https" || u.Host == "":
		return errors.New("Config.Directory is no https URL")
	case len(c.Domains) == 0 || len(c.Domains) > maxDomains:
		return fmt.Errorf("Config.Domains has %d names: 1 to %d are expected", len(c.Domains), maxDomains)
	case !c.Agreed:
		return errors.New("Config.Agreed is not set: read the authority's terms of service")
	case c.Folder == "":
		return errors.New("Config.Folder is not set: name one that stays")
	}
	for _, domain := range c.Domains {
		if _, err := netip.ParseAddr(domain); err == nil {
			return fmt.Errorf("Config.Domains: %q: no IP address can be had here", domain)
		}
		if domain == "" || strings.ContainsAny(domain, "*/: ") {
			return fmt.Errorf("Config.Domains: %q is no name for TLS-ALPN-01: it has no wildcards, ports and schemes", domain)
		}
	}
	if err := os.MkdirAll(c.Folder, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(c.Folder)
	if err != nil {
		return err
	}
	return regular.OwnerOnly(c.Folder)(info)
}

// Close ends what runs in the background. End the contexts of Watch before.
func (s *Source) Close() error {
	s.cache.Stop()
	return nil
}

// Certificate implements pki.Source. It returns an error until the authority has issued
// one, and once it has expired.
func (s *Source) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := s.domains[0]
	if hello != nil && hello.ServerName != "" {
		name = strings.ToLower(hello.ServerName)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	cert := s.certs[name]
	if cert == nil {
		cert = s.certs[s.domains[0]]
	}
	switch {
	case cert == nil:
		return nil, fmt.Errorf("acme: there is no certificate of %s yet", s.domains[0])
	case time.Now().After(cert.Leaf.NotAfter):
		return nil, fmt.Errorf("acme: the certificate of %v has expired, and could not be renewed", cert.Leaf.DNSNames)
	}
	return cert, nil
}

// Challenge implements pki.Challenged.
func (s *Source) Challenge(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.issuer.proof(hello.ServerName), nil
}

// set takes a certificate that is to be shown.
func (s *Source) set(domain string, cert *tls.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certs[domain] = cert
	s.times++
	s.fault = nil
	s.tell()
}

// reload takes the certificate from the cache that is good the longest.
func (s *Source) reload(domain string) {
	s.mu.Lock()
	best := s.certs[domain]
	s.mu.Unlock()
	found := false
	for _, c := range s.cache.AllMatchingCertificates(domain) {
		if best == nil || c.Leaf.NotAfter.After(best.Leaf.NotAfter) {
			best, found = &c.Certificate, true
		}
	}
	if found {
		s.set(domain, best)
	}
}

func (s *Source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fmt.Errorf("acme: %w", err)
	s.tell()
}

// tell wakes all who watch. The mutex is held.
func (s *Source) tell() {
	close(s.news)
	s.news = make(chan struct{})
}

// event is what certmagic tells.
func (s *Source) event(_ context.Context, name string, data map[string]any) error {
	if err, ok := data["error"].(error); ok && name == "cert_failed" {
		s.fail(fmt.Errorf("%v: %w", data["identifier"], err))
	}
	return nil
}
