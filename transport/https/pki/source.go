package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
)

// A Source has the certificate a program shows, and tells when it changes. All methods are
// safe for concurrent use. [Files], [Development] and packages spiffe and acme make them.
type Source interface {
	// Certificate returns the certificate for a handshake, with its chain and parsed leaf.
	// hello is nil where the program is the client. It does no input or output.
	Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
	// Watch keeps the source fresh until ctx ends, and calls changed after each change that
	// was checked and taken. It returns ctx's error. What is wrong with a new certificate
	// goes to fault, and the old one stays.
	Watch(ctx context.Context, changed func(), fault func(error)) error
}

// Authorities are the certificate authorities that clients, or servers, are trusted by.
type Authorities interface {
	// Pool returns the current ones. The pool is never changed, only replaced: two results
	// are the same pool exactly if nothing changed.
	Pool() *x509.CertPool
	// Watch is as of [Source].
	Watch(ctx context.Context, changed func(), fault func(error)) error
}

// A Peers judges verified certificates of the other side: by name, and whether they are
// revoked. It is asked in every handshake, resumed ones included, and again for every
// open stream after each change and at least every few seconds.
type Peers interface {
	// Accept returns why a chain, leaf first, is not acceptable now, or nil.
	Accept(chain []*x509.Certificate) error
	// Watch is as of [Source].
	Watch(ctx context.Context, changed func(), fault func(error)) error
}

// ACMETLS1 is the application protocol of the challenge TLS-ALPN-01 (RFC 8737).
const ACMETLS1 = "acme-tls/1"

// A Challenged is a Source whose authority asks for proof in handshakes with the
// application protocol [ACMETLS1].
type Challenged interface {
	Source
	// Challenge returns the certificate that answers, or nil if no challenge is pending for
	// the name. It is safe for concurrent use.
	Challenge(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}
