package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// An Authority is a root and one intermediate that issues.
type Authority struct {
	root, cert *x509.Certificate
	key        *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB, name string, usage x509.ExtKeyUsage) *Authority {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"conformance"}},
		NotBefore: time.Now().Add(-365 * 24 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	rootKey, a := newKey(tb), &Authority{key: newKey(tb)}
	a.root = create(tb, template, template, rootKey.Public(), rootKey)
	template.Subject.CommonName += " intermediate"
	template.SerialNumber, template.ExtKeyUsage = big.NewInt(2), []x509.ExtKeyUsage{usage}
	a.cert = create(tb, template, a.root, a.key.Public(), rootKey)
	return a
}

func create(tb testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

// A Request is what a certificate is to say.
type Request struct {
	Subjects   []string // URIs and e-mail addresses
	Issuer     string
	OldIssuer  string // in the deprecated extension; empty means as Issuer
	Build      map[string]string
	NotBefore  time.Time
	NotAfter   time.Time
	WithoutSCT bool
}

// builds are the extensions that a test may set, by name.
var builds = map[string]asn1.ObjectIdentifier{
	"repository": certificate.OIDSourceRepositoryURI, "ref": certificate.OIDSourceRepositoryRef,
	"runner": certificate.OIDRunnerEnvironment, "config": certificate.OIDBuildConfigURI,
}

// issue makes a certificate with the extensions that Fulcio writes, logged in ct.
func (a *Authority) issue(tb testing.TB, r Request, public crypto.PublicKey, ct *ecdsa.PrivateKey) *x509.Certificate {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: r.NotBefore, NotAfter: r.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	for _, s := range r.Subjects {
		if !strings.Contains(s, "://") {
			template.EmailAddresses = append(template.EmailAddresses, s)
			continue
		}
		u, err := url.Parse(s)
		if err != nil {
			tb.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	if r.OldIssuer == "" {
		r.OldIssuer = r.Issuer
	}
	template.ExtraExtensions = []pkix.Extension{
		{Id: certificate.OIDIssuer, Value: []byte(r.OldIssuer)}, //nolint:staticcheck // Fulcio still writes it
		{Id: certificate.OIDIssuerV2, Value: der(tb, r.Issuer)},
	}
	for name, value := range r.Build {
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: builds[name], Value: der(tb, value)})
	}
	cert := create(tb, template, a.cert, public, a.key)
	if r.WithoutSCT {
		return cert
	}
	// Without the list, the part that is signed is that of the precertificate.
	template.ExtraExtensions = append(template.ExtraExtensions, sctList(tb, cert.RawTBSCertificate, a.cert, ct, r.NotBefore))
	return create(tb, template, a.cert, public, a.key)
}

func (a *Authority) timestamper(tb testing.TB) (*x509.Certificate, *ecdsa.PrivateKey) {
	tb.Helper()
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		tb.Fatal(err)
	}
	key := newKey(tb)
	return create(tb, &x509.Certificate{
		SerialNumber: big.NewInt(3), NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, a.cert, key.Public(), a.key), key
}

// Timestamp answers a request of RFC 3161 as of a time.
func (l *Lab) Timestamp(request []byte, at time.Time) ([]byte, error) {
	req, err := timestamp.ParseRequest(request)
	if err != nil {
		return nil, err
	}
	t := timestamp.Timestamp{
		HashAlgorithm: req.HashAlgorithm, HashedMessage: req.HashedMessage, Nonce: req.Nonce, Time: at,
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: req.Certificates,
	}
	return t.CreateResponseWithOpts(l.tsaLeaf, l.tsaKey, crypto.SHA256)
}

func der(tb testing.TB, s string) []byte {
	tb.Helper()
	data, err := asn1.MarshalWithParams(s, "utf8")
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
