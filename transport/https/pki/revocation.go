package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"
)

const (
	maxCRLFile = 32 << 20
	maxCRLs    = 100     // of one file
	maxRevoked = 1 << 20 // entries of one list
)

// Revocations are certificate revocation lists from files, and follow them: they are
// [Peers].
type Revocations struct {
	live[lists]
}

// lists are revocation lists by the name of their authority.
type lists map[string][]*list

// A list is one revocation list.
type list struct {
	*x509.RevocationList

	revoked map[string]struct{} // serial numbers, in bytes
	signer  sync.Map            // raw certificate of an authority -> error of its check
}

// CRL reads revocation lists (RFC 5280, section 5) in PEM or DER from one or more files.
//
// It fails closed: every certificate of a chain but the root must have a list of its issuer,
// with that issuer's signature, that is current: thisUpdate has come and nextUpdate, which
// must be there, has not. So an authority that stops publishing locks its clients out, and
// intermediate authorities need lists of the root. A reason for revocation makes no
// difference. Lists that must not be read as a whole one are refused: delta lists, indirect
// ones, those for a part of the certificates, and any with a critical extension that is not
// known. So is a list that replaces a newer one. CRL does not fetch lists; a file that is
// renamed into place is seen within seconds. Of a list that ends before another has come Watch
// tells when nine tenths of its time have passed, and at the end.
func CRL(paths ...string) (*Revocations, error) {
	return newRevocations(paths, time.Now)
}

func newRevocations(paths []string, now func() time.Time) (*Revocations, error) {
	if len(paths) == 0 {
		return nil, errors.New("pki: CRL: no file is named")
	}
	r := &Revocations{}
	r.clock = now
	r.read = func() (content, error) { return readAll("CRL", paths, maxCRLFile) }
	r.parse = func(c content, old *lists) (*lists, error) {
		next := make(lists)
		for i, data := range c {
			if err := next.add(data, now()); err != nil {
				return nil, fmt.Errorf("pki: CRL: %s: %w", paths[i], err)
			}
		}
		if old != nil {
			if err := next.notBefore(*old); err != nil {
				return nil, fmt.Errorf("pki: CRL: %w", err)
			}
		}
		r.terms = next.terms()
		return &next, nil
	}
	if err := r.start(); err != nil {
		return nil, err
	}
	return r, nil
}

// add reads the lists of a file.
func (l lists) add(data []byte, now time.Time) error {
	ders := [][]byte{bytes.Clone(data)} // the list refers to it, and what was read is wiped
	if bytes.Contains(data, []byte("-----BEGIN")) {
		var err error
		if ders, err = blocks(data, "X509 CRL", maxCRLs); err != nil {
			return err
		}
	}
	for _, der := range ders {
		next, err := parseList(der, now)
		if err != nil {
			return err
		}
		issuer := string(next.RawIssuer)
		l[issuer] = append(l[issuer], next)
	}
	return nil
}

var (
	oidKeyID  = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidNumber = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidReason = asn1.ObjectIdentifier{2, 5, 29, 21}
)

// parseList reads one list. Its signature is checked when its authority is known.
func parseList(der []byte, now time.Time) (*list, error) {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	for _, e := range crl.Extensions {
		if e.Critical && !e.Id.Equal(oidKeyID) && !e.Id.Equal(oidNumber) {
			return nil, fmt.Errorf("the list of %q has the critical extension %v: delta, indirect and partial lists are not supported", crl.Issuer, e.Id)
		}
	}
	switch {
	case crl.NextUpdate.IsZero():
		return nil, fmt.Errorf("the list of %q has no nextUpdate", crl.Issuer)
	case len(crl.RevokedCertificateEntries) > maxRevoked:
		return nil, fmt.Errorf("the list of %q has more than %d entries", crl.Issuer, maxRevoked)
	case crl.Number == nil:
		crl.Number = new(big.Int)
	}
	l := &list{RevocationList: crl, revoked: make(map[string]struct{}, len(crl.RevokedCertificateEntries))}
	if err := l.current(now); err != nil {
		return nil, err
	}
	for _, entry := range crl.RevokedCertificateEntries {
		for _, e := range entry.Extensions {
			if e.Critical && !e.Id.Equal(oidReason) {
				return nil, fmt.Errorf("the list of %q has an entry with the critical extension %v: indirect lists are not supported", crl.Issuer, e.Id)
			}
		}
		l.revoked[string(entry.SerialNumber.Bytes())] = struct{}{}
	}
	crl.RevokedCertificateEntries = nil // the map says it, in a part of the memory
	return l, nil
}

// current returns an error if the list does not speak for this moment.
func (l *list) current(now time.Time) error {
	if now.Before(l.ThisUpdate) || !now.Before(l.NextUpdate) {
		return fmt.Errorf("the list of %q is for %s to %s only: fetch the current one", l.Issuer,
			l.ThisUpdate.UTC().Format(time.RFC3339), l.NextUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

// signedBy returns why a list is not signed by an authority, or nil.
func (l *list) signedBy(authority *x509.Certificate) error {
	if known, ok := l.signer.Load(string(authority.Raw)); ok {
		err, _ := known.(error)
		return err
	}
	err := l.CheckSignatureFrom(authority)
	if err == nil { // others could fill the map
		l.signer.Store(string(authority.Raw), err)
	}
	return err
}

// notBefore returns an error if one of the old lists is followed by an older one of the same
// authority and key.
func (l lists) notBefore(old lists) error {
	for issuer, before := range old {
		for _, o := range before {
			for _, n := range l[issuer] {
				if bytes.Equal(o.AuthorityKeyId, n.AuthorityKeyId) && n.Number.Cmp(o.Number) < 0 {
					return fmt.Errorf("the list of %q has number %v: number %v came before it", n.Issuer, n.Number, o.Number)
				}
			}
		}
	}
	return nil
}

// terms returns how long the list is good that judges for each authority and key: the newest.
func (l lists) terms() []term {
	var terms []term
	for _, all := range l {
		for i, o := range all {
			newer := func(n *list) bool {
				return bytes.Equal(o.AuthorityKeyId, n.AuthorityKeyId) && n.Number.Cmp(o.Number) > 0
			}
			equal := func(n *list) bool {
				return bytes.Equal(o.AuthorityKeyId, n.AuthorityKeyId) && n.Number.Cmp(o.Number) == 0
			}
			if slices.ContainsFunc(all, newer) || slices.ContainsFunc(all[:i], equal) { // as judge has it
				continue
			}
			terms = append(terms, term{
				what: fmt.Sprintf("CRL: the list of %.200q", o.Issuer), until: o.NextUpdate,
				ahead: []time.Duration{o.NextUpdate.Sub(o.ThisUpdate) / 10}, remedy: "fetch the current one",
			})
		}
	}
	return terms
}

// Accept implements [Peers].
func (r *Revocations) Accept(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("pki: there is no certificate to judge")
	}
	now, all := r.clock(), *r.now.Load()
	for i, c := range chain {
		issuer := c // a leaf that is trusted by itself has no issuer but itself
		if i+1 < len(chain) {
			issuer = chain[i+1]
		} else if i > 0 {
			break // the root is trusted, not issued
		}
		if err := all.judge(c, issuer, now); err != nil {
			return fmt.Errorf("pki: %w", err)
		}
	}
	return nil
}

// judge asks the newest list that an issuer has signed.
func (l lists) judge(c, issuer *x509.Certificate, now time.Time) error {
	var newest *list
	err := fmt.Errorf("there is no revocation list of %q", issuer.Subject)
	for _, candidate := range l[string(c.RawIssuer)] {
		if len(candidate.AuthorityKeyId) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(candidate.AuthorityKeyId, issuer.SubjectKeyId) {
			continue // of another key of the same authority
		}
		if failed := candidate.signedBy(issuer); failed != nil {
			err = fmt.Errorf("the revocation list of %q is not signed by it: %w", issuer.Subject, failed)
			continue
		}
		if newest == nil || candidate.Number.Cmp(newest.Number) > 0 {
			newest = candidate
		}
	}
	if newest == nil {
		return err
	}
	if err := newest.current(now); err != nil {
		return err
	}
	if _, ok := newest.revoked[string(c.SerialNumber.Bytes())]; ok {
		return fmt.Errorf("the certificate of %q with serial number %x is revoked", c.Subject, c.SerialNumber)
	}
	return nil
}
