package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// A Lab is one Sigstore. Its parts may be exchanged before they are used.
type Lab struct {
	TB     testing.TB
	CA     *Authority // issues signers' certificates
	TSA    *Authority // issues timestamps with its leaf
	CT     *ecdsa.PrivateKey
	OIDC   *ecdsa.PrivateKey // signs identity tokens
	V1, V2 *Log
	// CAEnd and LogEnd end the periods for which the trusted root names them.
	CAEnd, LogEnd time.Time
	// Other is an authority that the trusted root names too, without end.
	Other *Authority

	tsaLeaf *x509.Certificate
	tsaKey  *ecdsa.PrivateKey
}

// New makes a Sigstore with keys of its own.
func New(tb testing.TB) *Lab {
	tb.Helper()
	l := &Lab{TB: tb, CA: newAuthority(tb, "signers", x509.ExtKeyUsageCodeSigning), TSA: newAuthority(tb, "time", x509.ExtKeyUsageTimeStamping), CT: newKey(tb), OIDC: newKey(tb)}
	l.V1, l.V2 = newLog(tb, "rekor1.example", true), newLog(tb, "rekor2.example", false)
	l.tsaLeaf, l.tsaKey = l.TSA.timestamper(tb)
	return l
}

// Root returns the JSON of the trusted root.
func (l *Lab) Root() []byte {
	l.TB.Helper()
	start := time.Now().Add(-365 * 24 * time.Hour)
	rekor := map[string]*root.TransparencyLog{}
	for _, log := range []*Log{l.V1, l.V2} {
		rekor[log.ID()] = transparencyLog(l.TB, "https://"+log.Host, log.key, start, l.LogEnd)
	}
	ct := map[string]*root.TransparencyLog{logID(l.TB, l.CT): transparencyLog(l.TB, "https://ct.example", l.CT, start, time.Time{})}
	cas := []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: l.CA.root, Intermediates: []*x509.Certificate{l.CA.cert}, ValidityPeriodStart: start, ValidityPeriodEnd: l.CAEnd, URI: "https://fulcio.example",
	}}
	if o := l.Other; o != nil {
		cas = append(cas, &root.FulcioCertificateAuthority{Root: o.root, Intermediates: []*x509.Certificate{o.cert}, ValidityPeriodStart: start, URI: "https://other.example"})
	}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, cas, ct,
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
			Root: l.TSA.root, Intermediates: []*x509.Certificate{l.TSA.cert}, Leaf: l.tsaLeaf, ValidityPeriodStart: start, URI: "https://tsa.example",
		}}, rekor)
	if err != nil {
		l.TB.Fatal(err)
	}
	data, err := r.MarshalJSON()
	if err != nil {
		l.TB.Fatal(err)
	}
	return data
}

func transparencyLog(tb testing.TB, url string, key *ecdsa.PrivateKey, start, end time.Time) *root.TransparencyLog {
	tb.Helper()
	id, err := hex.DecodeString(logID(tb, key))
	if err != nil {
		tb.Fatal(err)
	}
	return &root.TransparencyLog{
		BaseURL: url, ID: id, ValidityPeriodStart: start, ValidityPeriodEnd: end,
		HashFunc: crypto.SHA256, PublicKey: key.Public(), SignatureHashFunc: crypto.SHA256,
	}
}

// logID is the SHA-256 of a log's public key (RFC 6962), in hexadecimal.
func logID(tb testing.TB, key *ecdsa.PrivateKey) string {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}
