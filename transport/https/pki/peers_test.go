package pki

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestNames(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	mail := testpki.Leaf(t)
	mail.EmailAddresses = []string{"Agent@Example.org"}
	other := testpki.Leaf(t, "spiffe://example.org/agent", "evil.example")
	for name, test := range map[string]struct {
		pattern string
		cert    *x509.Certificate
		ok      bool
	}{
		"exact ID":                        {"spiffe://example.org/agent", testpki.Leaf(t, "spiffe://example.org/agent"), true},
		"ID below":                        {"spiffe://example.org/agent", testpki.Leaf(t, "spiffe://example.org/agent/x"), false},
		"ID with a longer name":           {"spiffe://example.org/agent", testpki.Leaf(t, "spiffe://example.org/agent2"), false},
		"another trust domain":            {"spiffe://example.org/agent", testpki.Leaf(t, "spiffe://example.org.evil/agent"), false},
		"case of the path":                {"spiffe://example.org/agent", testpki.Leaf(t, "spiffe://example.org/Agent"), false},
		"star":                            {"spiffe://example.org/ns/*/agent", testpki.Leaf(t, "spiffe://example.org/ns/prod/agent"), true},
		"star is one segment":             {"spiffe://example.org/ns/*/agent", testpki.Leaf(t, "spiffe://example.org/ns/a/b/agent"), false},
		"two stars":                       {"spiffe://example.org/ns/**", testpki.Leaf(t, "spiffe://example.org/ns/a/b"), true},
		"two stars are one or more":       {"spiffe://example.org/ns/**", testpki.Leaf(t, "spiffe://example.org/ns"), false},
		"two stars in another domain":     {"spiffe://example.org/**", testpki.Leaf(t, "spiffe://evil.org/ns"), false},
		"trust domain alone":              {"spiffe://example.org", testpki.Leaf(t, "spiffe://example.org/agent"), false},
		"DNS":                             {"dns:agent.example.org", testpki.Leaf(t, "Agent.Example.ORG"), true},
		"DNS star":                        {"dns:*.example.org", testpki.Leaf(t, "agent.example.org"), true},
		"DNS star is one label":           {"dns:*.example.org", testpki.Leaf(t, "a.b.example.org"), false},
		"DNS star is not none":            {"dns:*.example.org", testpki.Leaf(t, "example.org"), false},
		"DNS star for a star":             {"dns:*.example.org", testpki.Leaf(t, "*.example.org"), false},
		"DNS suffix":                      {"dns:example.org", testpki.Leaf(t, "notexample.org"), false},
		"common name":                     {"dns:leaf", testpki.Leaf(t), false},
		"second name":                     {"dns:evil.example", other, false}, // its principal is the SPIFFE ID
		"first name":                      {"spiffe://example.org/agent", other, true},
		"ID in the place of a DNS name":   {"dns:example.org", testpki.Leaf(t, "spiffe://example.org"), false},
		"e-mail":                          {"email:Agent@example.ORG", mail, true},
		"e-mail, another case of the box": {"email:agent@example.org", mail, false},
		"URI":                             {"uri:urn:example:agent", testpki.Leaf(t, "urn:example:agent"), true},
		"URI below":                       {"uri:urn:example:agent", testpki.Leaf(t, "urn:example:agent2"), false},
		"IP":                              {"ip:192.0.2.7", testpki.Leaf(t, "192.0.2.7"), true},
		"IPv6 written differently":        {"ip:2001:DB8:0::1", testpki.Leaf(t, "2001:db8::1"), true},
		"another IP":                      {"ip:192.0.2.7", testpki.Leaf(t, "192.0.2.77"), false},
		"dots that climb":                 {"spiffe://example.org/**", testpki.Leaf(t, "spiffe://example.org/a/../b"), false},
		"encoded slash":                   {"spiffe://example.org/*", testpki.Leaf(t, "spiffe://example.org/a%2Fb"), false},
		"ID with a query":                 {"spiffe://example.org/*", testpki.Leaf(t, "spiffe://example.org/a?b"), false},
		"ID with a port":                  {"spiffe://example.org/*", testpki.Leaf(t, "spiffe://example.org:80/a"), false},
		"ID and another URI":              {"spiffe://example.org/*", testpki.Leaf(t, "https://example.org/", "spiffe://example.org/a"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peers, err := Names("dns:somebody.else.example", test.pattern)
			if err != nil {
				t.Fatal(err)
			}
			leaf := root.Sign(t, test.cert, testpki.Key(t)).Leaf
			if err := peers.Accept([]*x509.Certificate{leaf, root.Cert}); (err == nil) != test.ok {
				t.Errorf("%v", err)
			}
			if n, err := nameOf(leaf); err == nil {
				if p := (mcpsec.Peer{Certificates: []*x509.Certificate{leaf}}).Principal(); p.Subject != n.text {
					t.Errorf("judged as %q, recorded as %q", n.text, p.Subject)
				}
			}
		})
	}
}

func TestNamesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		"", "*", "agent", "dns:", "dns:*", "dns:*.org", "dns:a.*.org", "dns:**.example.org", "email:*@example.org", "email:agent", "ip:192.0.2.0/24",
		"spiffe://*/agent", "spiffe://exa*mple.org/a", "spiffe://example.org/a*", "spiffe://example.org/**/b", "spiffe://example.org/a/", "spiffe://Example.org/a",
		"spiffe:example.org", "uri:spiffe://example.org/a", "cn:agent", "spiffe://example.org/../a",
	} {
		if _, err := Names(pattern); err == nil {
			t.Errorf("%q is taken", pattern)
		}
	}
	if _, err := Names(); err == nil {
		t.Error("no name is taken")
	}
	if All().Accept(nil) == nil {
		t.Error("nobody accepts")
	}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	rolled := testpki.New(t, "root") // the same name, the key after it
	between := root.Authority(t, "between", nil)
	deaf := root.Authority(t, "deaf", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	stranger := testpki.New(t, "stranger")
	victim, below := root.Issue(t, "victim.example"), between.Issue(t, "below.example")
	list := func(a *testpki.Authority, change func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
		return a.CRL(t, 1, change, revoked...)
	}
	extension := func(id asn1.ObjectIdentifier, critical bool) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: id, Critical: critical, Value: []byte{5, 0}}}
		}
	}
	forged := func() []byte { // the right name, another key
		a := *root
		a.Key = testpki.Key(t)
		cert := *root.Cert
		cert.PublicKey = a.Key.Public()
		a.Cert = &cert
		return a.CRL(t, 9, nil)
	}()
	leafChain := root.Chain(t, victim, root)
	for name, test := range map[string]struct {
		lists [][]byte
		chain []*x509.Certificate
		load  string // why the lists are not loaded
		want  string // why the chain is not accepted; empty if it is
	}{
		"not revoked":                    {lists: [][]byte{list(root, nil, below.Leaf)}, chain: leafChain},
		"revoked":                        {lists: [][]byte{list(root, nil, victim.Leaf)}, chain: leafChain, want: "is revoked"},
		"no list of the issuer":          {lists: [][]byte{list(stranger, nil)}, chain: leafChain, want: "no revocation list"},
		"signed by nobody":               {lists: [][]byte{forged}, chain: leafChain, want: "not signed by it"},
		"list of the key before":         {lists: [][]byte{list(root, nil, victim.Leaf), list(rolled, nil)}, chain: leafChain, want: "is revoked"},
		"list of the key after only":     {lists: [][]byte{list(rolled, nil)}, chain: leafChain, want: "revocation list"},
		"forged list hides the real one": {lists: [][]byte{list(root, nil, victim.Leaf), forged}, chain: leafChain, want: "is revoked"},
		"the newer of two lists":         {lists: [][]byte{root.CRL(t, 3, nil, victim.Leaf), root.CRL(t, 2, nil)}, chain: leafChain, want: "is revoked"},
		"revoked intermediate":           {lists: [][]byte{list(root, nil, between.Cert), list(between, nil)}, chain: between.Chain(t, below, root), want: "is revoked"},
		"intermediate without list":      {lists: [][]byte{list(between, nil)}, chain: between.Chain(t, below, root), want: "no revocation list"},
		"whole chain":                    {lists: [][]byte{list(root, nil), list(between, nil)}, chain: between.Chain(t, below, root)},
		"authority that may sign no lists": {lists: [][]byte{list(root, nil), func() []byte {
			a := *deaf
			c := *deaf.Cert
			c.KeyUsage |= x509.KeyUsageCRLSign
			a.Cert = &c
			return a.CRL(t, 1, nil)
		}()}, chain: deaf.Chain(t, deaf.Issue(t, "x.example"), root), want: "not signed by it"},
		"trusted by itself": {lists: [][]byte{list(root, nil)}, chain: leafChain[:1], want: "revocation list"},
		"no chain":          {lists: [][]byte{list(root, nil)}, want: "no certificate"},
		"nextUpdate is over": {lists: [][]byte{list(root, func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		})}, load: "fetch the current one"},
		"thisUpdate is to come":    {lists: [][]byte{list(root, func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(time.Hour / 2) })}, load: "fetch the current one"},
		"delta list":               {lists: [][]byte{list(root, extension(asn1.ObjectIdentifier{2, 5, 29, 27}, true))}, load: "delta"},
		"list for a part":          {lists: [][]byte{list(root, extension(asn1.ObjectIdentifier{2, 5, 29, 28}, true))}, load: "partial"},
		"unknown but not critical": {lists: [][]byte{list(root, extension(asn1.ObjectIdentifier{1, 2, 3}, false))}, chain: leafChain},
		"indirect list": {lists: [][]byte{list(root, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{
				SerialNumber: big.NewInt(5), RevocationTime: time.Now(),
				ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{48, 0}}},
			}}
		})}, load: "indirect"},
		"rubbish":            {lists: [][]byte{[]byte("rubbish")}, load: "x509"},
		"empty":              {lists: [][]byte{nil}, load: "x509"},
		"a certificate":      {lists: [][]byte{root.PEM()}, load: "PEM block of type"},
		"one good, one not":  {lists: [][]byte{list(root, nil), []byte("rubbish")}, load: "x509"},
		"second one cut off": {lists: [][]byte{append(list(root, nil), "-----BEGIN X509 CRL-----\nMIIB"...)}, load: "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var paths []string
			for i, data := range test.lists {
				paths = append(paths, testpki.Write(t, filepath.Join(dir, fmt.Sprint(i)), data))
			}
			r, err := CRL(paths...)
			if test.load != "" {
				if err == nil || !strings.Contains(err.Error(), test.load) {
					t.Errorf("loaded: %v, want %q", err, test.load)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time signatures are known
				err = r.Accept(test.chain)
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
			}
		})
	}
}

func TestRevocationListEndsWhileItIsUsed(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	chain := root.Chain(t, root.Issue(t, "a.example"), root)
	now := time.Now()
	r, err := newRevocations([]string{testpki.Write(t, filepath.Join(t.TempDir(), "crl"), root.CRL(t, 1, nil))}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Accept(chain); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if err := r.Accept(chain); err == nil || !strings.Contains(err.Error(), "fetch the current one") {
		t.Errorf("got %v", err)
	}
}

// A revoked certificate is out at the next look; an attacker who can put an old list in the
// place of a new one does not bring it back.
func TestRevokedWithinSeconds(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	victim := root.Issue(t, "spiffe://example.org/victim")
	chain := root.Chain(t, victim, root)
	before, after := root.CRL(t, 7, nil), root.CRL(t, 8, nil, victim.Leaf)
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		crl := testpki.Write(t, filepath.Join(dir, "crl"), before)
		deny := testpki.Write(t, filepath.Join(dir, "deny"), []byte("# nobody\n"))
		r, err := newRevocations([]string{crl}, func() time.Time { return victim.Leaf.NotBefore.Add(time.Hour + time.Minute) })
		if err != nil {
			t.Fatal(err)
		}
		d, err := DenyList(deny)
		if err != nil {
			t.Fatal(err)
		}
		both := All(r, d)
		e := watching(t, both.Watch)
		if err := both.Accept(chain); err != nil {
			t.Fatal(err)
		}
		testpki.Write(t, crl, after)
		look()
		e.expect(t, "revoked", 1)
		if both.Accept(chain) == nil {
			t.Error("it is accepted")
		}
		testpki.Write(t, crl, before)
		look()
		look()
		e.expect(t, "the old list again", 1, "number 8 came before it")
		if both.Accept(chain) == nil {
			t.Error("the old list brings it back")
		}
		if d.Accept(chain) != nil {
			t.Error("on the deny-list before its time")
		}
		key := sha256.Sum256(victim.Leaf.RawSubjectPublicKeyInfo)
		testpki.Write(t, deny, fmt.Appendf(nil, "spki:%x # stolen\n", key))
		look()
		e.expect(t, "denied", 2, "number 8 came before it")
		if d.Accept(chain) == nil {
			t.Error("it is accepted")
		}
		if err := os.Remove(deny); err != nil {
			t.Fatal(err)
		}
		look()
		look()
		e.expect(t, "deny-list gone", 2, "number 8 came before it", "no such file")
		if d.Accept(chain) == nil {
			t.Error("a file that is gone brings it back")
		}
	})
}

func TestDenyList(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	template := testpki.Leaf(t, "a.example")
	template.SerialNumber = big.NewInt(0x0a1b2c)
	leaf := root.Sign(t, template, testpki.Key(t))
	chain := root.Chain(t, leaf, root)
	whole, ca := sha256.Sum256(leaf.Leaf.Raw), sha256.Sum256(root.Cert.Raw)
	for name, test := range map[string]struct {
		text string
		want string // "accepted", "denied" or an error
	}{
		"empty":                 {"", "accepted"},
		"comments":              {"# nobody\n\n", "accepted"},
		"serial with colons":    {"serial:0A:1B:2C", "denied"},
		"serial without zero":   {"serial:a1b2c", "denied"},
		"serial with zeros":     {"serial:00000a1b2c\r\n", "denied"},
		"another serial":        {"serial:0a1b2d", "accepted"},
		"fingerprint":           {fmt.Sprintf("sha256:%X", whole), "denied"},
		"its authority":         {fmt.Sprintf("serial:ff\nsha256:%x", ca), "denied"},
		"number without kind":   {"0a1b2c", "line 1"},
		"unknown kind":          {"serial:01\nname:0a", "line 2"},
		"not hexadecimal":       {"serial:0x0a1b2c", "line 1"},
		"nothing after":         {"serial:", "line 1"},
		"fingerprint too short": {"sha256:0a1b", "no SHA-256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := DenyList(testpki.Write(t, filepath.Join(t.TempDir(), "deny"), []byte(test.text)))
			got := "accepted"
			if err != nil {
				got = err.Error()
			} else if d.Accept(chain) != nil {
				got = "denied"
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestAuthoritiesAreRefused(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	expired := (&testpki.Authority{}).Authority(t, "old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	noSign := (&testpki.Authority{}).Authority(t, "no sign", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	leaf := root.Issue(t, "a.example")
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"good":                     {root.PEM(), ""},
		"with remarks":             {append([]byte("our root\n"), root.PEM()...), ""},
		"good and expired":         {append(root.PEM(), expired.PEM()...), ""},
		"expired only":             {expired.PEM(), "valid now"},
		"empty":                    {nil, "no certificate"},
		"DER":                      {root.Cert.Raw, "no certificate"},
		"a leaf":                   {testpki.Encode("CERTIFICATE", leaf.Certificate...), "no authority"},
		"good and a leaf":          {append(root.PEM(), testpki.Encode("CERTIFICATE", leaf.Certificate...)...), "no authority"},
		"may not sign":             {noSign.PEM(), "keyCertSign"},
		"with its key":             {append(root.PEM(), testpki.KeyPEM(t, root.Key)...), "PEM block of type"},
		"second cut off":           {append(root.PEM(), root.PEM()[:100]...), "cut off"},
		"first cut off":            {append(root.PEM()[:100], root.PEM()...), "cut off"},
		"second with bad contents": {append(root.PEM(), testpki.Encode("CERTIFICATE", []byte("x"))...), "x509"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := CAFile(testpki.Write(t, filepath.Join(t.TempDir(), "ca"), test.data))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := CAFile(); err == nil {
		t.Error("no file is taken")
	}
}

func TestAuthoritiesFollowTheirFiles(t *testing.T) {
	t.Parallel()
	one, two := testpki.New(t, "one"), testpki.New(t, "two")
	synctest.Test(t, func(t *testing.T) {
		path := testpki.Write(t, filepath.Join(t.TempDir(), "ca"), one.PEM())
		b, err := newBundle([]string{path}, func() time.Time { return one.Cert.NotBefore.Add(time.Hour) })
		if err != nil {
			t.Fatal(err)
		}
		first := b.Pool()
		e := watching(t, b.Watch)
		testpki.Write(t, path, append([]byte("# reviewed\n"), one.PEM()...))
		look()
		e.expect(t, "a remark", 0)
		if b.Pool() != first {
			t.Error("another pool although nothing changed")
		}
		testpki.Write(t, path, nil)
		look()
		look()
		e.expect(t, "emptied", 0, "no certificate")
		if b.Pool() != first {
			t.Error("an empty file is taken")
		}
		testpki.Write(t, path, two.PEM())
		look()
		e.expect(t, "the next authority", 1, "no certificate")
		if !b.Pool().Equal(two.Pool()) || !first.Equal(one.Pool()) {
			t.Error("the pool was changed in place, or not replaced")
		}
	})
}

func TestEndOfWatchAll(t *testing.T) {
	t.Parallel()
	names, err := Names("dns:a.example")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := All(names, names).Watch(ctx, nil, nil); err == nil {
		t.Error("no error")
	}
}
