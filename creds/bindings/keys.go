package bindings

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// A pair is a certificate and its key, each a PEM file.
type pair struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

func (p *pair) load(d *decoder, at place) *tls.Certificate {
	before := len(d.faults)
	d.path(at.in("certificate"), p.Certificate)
	d.path(at.in("key"), p.Key)
	if len(d.faults) > before {
		return nil
	}
	c, err := p.read()
	if err != nil {
		d.faultf(at, "%w", err)
		return nil
	}
	return c
}

var errPair = errors.New("the key is not that of the certificate, or one of them is no PEM file")

func (p *pair) read() (*tls.Certificate, error) {
	cert, err := regular.ReadFile(p.Certificate, maxPEM)
	if err != nil {
		return nil, err
	}
	key, err := regular.ReadSecret(p.Key, maxPEM)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Key, errPair) // the cause may repeat what is in the file
	}
	return &c, nil
}

// signer returns the key of a certificate.
func signer(c *tls.Certificate) crypto.Signer {
	s, _ := c.PrivateKey.(crypto.Signer)
	return s
}

// privateKey reads a key: PKCS #8, PKCS #1 or SEC 1, not encrypted. It returns nil and
// notes why if there is none.
func (d *decoder) privateKey(at place, path string) crypto.Signer {
	if d.path(at, path); !filepath.IsAbs(path) {
		return nil
	}
	data, err := regular.ReadSecret(path, maxPEM)
	if err != nil {
		d.faultf(at, "%w", err)
		return nil
	}
	defer clear(data)
	block, _ := pem.Decode(data)
	if block != nil {
		defer clear(block.Bytes)
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if s, ok := key.(crypto.Signer); ok {
				return s
			}
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key
		}
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key
		}
	}
	d.faultf(at, "%s has no private key in PEM that is not encrypted", path)
	return nil
}
