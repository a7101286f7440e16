package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
)

// A clock that was far ahead for a moment takes no warning away.
func TestAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := start.Add(90 * day)
	terms := []term{{what: "it", until: end, ahead: certified(start, end)}}
	var ends almanac
	if err := ends.due(terms, start.Add(10*365*day)); err == nil {
		t.Fatal("nothing is told")
	}
	for _, after := range []time.Duration{time.Hour, 68 * day, 82 * day, 84 * day, 91 * day} {
		if err := ends.due(terms, start.Add(after)); (err != nil) != (after > time.Hour) {
			t.Errorf("after %v: %v", after, err)
		}
	}
}

// The newest list of an authority is the one that judges: that an older one is good for
// longer helps nobody.
func TestTheNewestListEndsFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		root := testpki.New(t, "root")
		until := func(life time.Duration) func(*x509.RevocationList) {
			return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = c.since, c.since.Add(life) }
		}
		path := testpki.Write(t, filepath.Join(t.TempDir(), "crl"), slices.Concat(root.CRL(t, 2, until(10*day)), root.CRL(t, 1, until(40*day))))
		r, err := newRevocations([]string{path}, c.now)
		if err != nil {
			t.Fatal(err)
		}
		leaf := root.Sign(t, testpki.Leaf(t, "client.example"), testpki.Key(t)).Leaf
		e := watching(t, r.Watch)
		c.at(9 * day)
		e.expect(t, "nine tenths", 0, `the list of "CN=root" ends in 24h0m0s`)
		c.at(11 * day)
		chain := []*x509.Certificate{leaf, root.Cert}
		if err := r.Accept(chain); err == nil || !strings.Contains(err.Error(), "fetch the current one") {
			t.Errorf("%v: it is judged by another list", err)
		}
	})
}

// Who is valid only after the end leaves a time without anybody.
func TestASuccessorThatComesTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		root := testpki.New(t, "root")
		authority := func(from, until time.Duration) []byte {
			template := &x509.Certificate{
				SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "one"},
				IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
				NotBefore: c.since.Add(from), NotAfter: c.since.Add(until),
			}
			return testpki.Encode("CERTIFICATE", root.Sign(t, template, testpki.Key(t)).Leaf.Raw)
		}
		b, err := newBundle([]string{testpki.Write(t, filepath.Join(t.TempDir(), "ca.pem"), slices.Concat(authority(0, 40*day), authority(50*day, 400*day)))}, c.now)
		if err != nil {
			t.Fatal(err)
		}
		e := watching(t, b.Watch)
		c.at(36 * day)
		e.expect(t, "nine tenths", 0, `the authority "CN=one" ends in 4 days`)
	})
}

// One authority in two files is one.
func TestOneAuthorityInTwoFiles(t *testing.T) {
	t.Parallel()
	c := newClock()
	cert := testpki.New(t, "root").Authority(t, "one", c.good(40*day)).Cert
	if terms := authorityTerms([]*x509.Certificate{cert, cert}, c.now()); len(terms) != 1 {
		t.Errorf("%d ends of one authority", len(terms))
	}
}
