package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	protocol "github.com/mholt/acmez/v3/acme"
)

// maxAnswer bounds an answer of the authority, in bytes.
const maxAnswer = 1 << 20

// An issuer asks an authority for certificates. certmagic has one of its own, but that opens
// ports when it finds the listener closed.
type issuer struct {
	client  *acmez.Client
	storage certmagic.Storage
	contact []string
	account string // where the account's key is kept

	mu     sync.Mutex
	proofs map[string]*tls.Certificate // by server name
}

func newIssuer(c Config, storage certmagic.Storage) *issuer {
	sum := sha256.Sum256([]byte(c.Directory))
	i := &issuer{storage: storage, account: "accounts/" + hex.EncodeToString(sum[:8]) + ".key", proofs: make(map[string]*tls.Certificate)}
	if c.Email != "" {
		i.contact = []string{"mailto:" + c.Email}
	}
	i.client = &acmez.Client{
		Client: &protocol.Client{
			Directory: c.Directory, Logger: slog.New(slog.DiscardHandler),
			HTTPClient: &http.Client{
				Timeout: 30 * time.Second,
				Transport: bounded{&http.Transport{
					TLSClientConfig:   &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
					ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true,
				}},
			},
		},
		ChallengeSolvers: map[string]acmez.Solver{protocol.ChallengeTypeTLSALPN01: i},
	}
	return i
}

// IssuerKey implements certmagic.Issuer.
func (i *issuer) IssuerKey() string {
	return strings.TrimSuffix(strings.ReplaceAll(i.account, "/", "-"), ".key")
}

// Issue implements certmagic.Issuer.
func (i *issuer) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	key, err := i.key(ctx)
	if err != nil {
		return nil, fmt.Errorf("the key of the account: %w", err)
	}
	// An authority answers with the account of a key it knows already (RFC 8555, section 7.3).
	account, err := i.client.NewAccount(ctx, protocol.Account{Contact: i.contact, TermsOfServiceAgreed: true, PrivateKey: key})
	if err != nil {
		return nil, fmt.Errorf("the account: %w", err)
	}
	order, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, err
	}
	chains, err := i.client.ObtainCertificate(ctx, order)
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, errors.New("the authority has issued nothing")
	}
	return &certmagic.IssuedCertificate{Certificate: chains[0].ChainPEM}, nil
}

// key returns the key of the account, which is made once.
func (i *issuer) key(ctx context.Context) (crypto.Signer, error) {
	if err := i.storage.Lock(ctx, i.account); err != nil {
		return nil, err
	}
	defer func() { _ = i.storage.Unlock(context.WithoutCancel(ctx), i.account) }() // it ends by itself
	data, err := i.storage.Load(ctx, i.account)
	if err == nil {
		block, _ := pem.Decode(data)
		if block == nil {
			return nil, errors.New("it is no PEM: delete it for another account")
		}
		return x509.ParseECPrivateKey(block.Bytes)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, i.storage.Store(ctx, i.account, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// Present implements acmez.Solver: the listener now answers for a name.
func (i *issuer) Present(_ context.Context, c protocol.Challenge) error {
	proof, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.proofs[strings.ToLower(c.Identifier.Value)] = proof
	return nil
}

// CleanUp implements acmez.Solver.
func (i *issuer) CleanUp(_ context.Context, c protocol.Challenge) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.proofs, strings.ToLower(c.Identifier.Value))
	return nil
}

// proof returns the certificate that answers for a name, or nil.
func (i *issuer) proof(name string) *tls.Certificate {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.proofs[strings.ToLower(name)]
}

// bounded bounds what an authority answers.
type bounded struct{ inner http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.inner.RoundTrip(req)
	if err == nil {
		resp.Body = limited{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

type limited struct {
	io.Reader
	io.Closer
}
