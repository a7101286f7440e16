package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// open reads the authority, or makes it. Of several programs that start at once, one makes
// it and all read that one.
func (l *Local) open() error {
	path := filepath.Join(l.dir, "authority.pem")
	err := l.load(path)
	expired := err == nil && !l.now().Before(l.ca.NotAfter.Add(-devServer))
	if !expired && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	cert, key, err := l.make()
	if err != nil {
		return err
	}
	both := slices.Concat(key, cert)
	clear(key)
	put := regular.Create // of several programs the first one
	if expired {
		put = regular.Replace
	}
	err = put(path, both, 0o600)
	clear(both)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return l.load(path)
}

// load reads the authority, and writes its certificate alone for clients.
func (l *Local) load(path string) error {
	data, err := regular.ReadSecret(path, maxKeyFile)
	if err != nil {
		return err
	}
	defer clear(data)
	pair, err := tls.X509KeyPair(data, data)
	if err != nil {
		return fmt.Errorf("%s: %w: delete it to have a new one made", path, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA || !pair.Leaf.PermittedDNSDomainsCritical {
		return fmt.Errorf("%s is no development authority: delete it to have a new one made", path)
	}
	l.ca, l.key, l.pool = pair.Leaf, key, x509.NewCertPool()
	l.pool.AddCert(l.ca)
	return l.write("ca.pem", encode("CERTIFICATE", l.ca.Raw))
}

// make makes an authority.
func (l *Local) make() (cert, key []byte, err error) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	now := l.now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"mcpsec development"}, CommonName: "loopback of " + host},
		NotBefore: now.Add(-devOverlap), NotAfter: now.Add(devAuthority),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true, // of all the kinds of names
		PermittedDNSDomains:         []string{"localhost"},
		PermittedIPRanges:           []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}, {IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)}},
		PermittedEmailAddresses:     []string{"localhost"},
		PermittedURIDomains:         []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, secret.Public(), secret)
	if err != nil {
		return nil, nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		return nil, nil, err
	}
	defer clear(raw)
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", raw), nil
}
