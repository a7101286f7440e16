package pki

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
)

const day = 24 * time.Hour

// A clock is set by hand.
type clock struct {
	since time.Time
	after atomic.Int64
}

func newClock() *clock                  { return &clock{since: time.Now().Truncate(time.Second)} }
func (c *clock) now() time.Time         { return c.since.Add(time.Duration(c.after.Load())) }
func (c *clock) at(after time.Duration) { c.after.Store(int64(after)); look(); look() }
func (c *clock) good(life time.Duration) func(*x509.Certificate) {
	return func(cert *x509.Certificate) { cert.NotBefore, cert.NotAfter = c.since, c.since.Add(life) }
}

func TestWhenAnEndIsTold(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		life time.Duration
		want []time.Duration // after the start
	}{
		"an hour":   {time.Hour, []time.Duration{45 * time.Minute, 54 * time.Minute}},
		"90 days":   {90 * day, []time.Duration{67*day + 12*time.Hour, 81 * day, 83 * day}},
		"ten years": {3650 * day, []time.Duration{3650 * day * 3 / 4, 3285 * day, 3643 * day}},
	} {
		end := start.Add(test.life)
		terms := []term{{what: "it", until: end, ahead: certified(start, end)}}
		var ends almanac
		for i, after := range append(test.want, test.life+time.Nanosecond) {
			// The parts of a year are no whole nanoseconds.
			if err := ends.due(terms, start.Add(after-10*time.Nanosecond)); err != nil && after <= test.life {
				t.Errorf("%s: %v before it is told: %v", name, after, err)
			}
			if err := ends.due(terms, start.Add(after+10*time.Nanosecond)); err == nil {
				t.Errorf("%s: the end is not told for the time %d, after %v", name, i+1, after)
			}
		}
		if err := ends.due(terms, end.Add(time.Hour)); err != nil {
			t.Errorf("%s: told again: %v", name, err)
		}
	}
}

func TestEndIsToldOnce(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	one := term{what: "it", until: end, ahead: []time.Duration{time.Hour}}
	next := one
	next.until = end.Add(time.Minute)
	var ends almanac
	for i, step := range []struct {
		term term
		at   time.Duration // before the end of the first
		told bool
	}{
		{one, 59 * time.Minute, true},
		{one, 58 * time.Minute, false},
		{one, 61 * time.Minute, false}, // the clock goes back
		{one, 57 * time.Minute, false},
		{next, 56 * time.Minute, true}, // the successor ends soon itself
		{one, -time.Second, true},
		{one, time.Second, false},
		{one, -time.Second, false},
	} {
		if err := ends.due([]term{step.term}, end.Add(-step.at)); (err != nil) != step.told {
			t.Errorf("step %d: %v", i, err)
		}
	}
}

func TestCertificateThatEndsWithoutSuccessor(t *testing.T) {
	t.Parallel()
	c := newClock()
	root := testpki.New(t, "root")
	template := testpki.Leaf(t, "server.example")
	c.good(90 * day)(template)
	first := root.Sign(t, template, testpki.Key(t))
	template = testpki.Leaf(t, "server.example")
	c.good(180 * day)(template)
	second := root.Sign(t, template, testpki.Key(t))
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cert, key := testpki.WritePair(t, dir, first)
		p, err := newPair(cert, key, c.now)
		if err != nil {
			t.Fatal(err)
		}
		e := watching(t, p.Watch)
		c.at(67*day + 12*time.Hour - time.Second)
		e.expect(t, "before three quarters", 0)
		c.at(67*day + 12*time.Hour)
		told := []string{cert + `: the certificate of "dns:server.example" ends in 22 days, at ` + first.Leaf.NotAfter.Format(time.RFC3339) + ": put its successor there"}
		e.expect(t, "three quarters", 0, told...)
		// A successor that is not in order is a fault of its own, and no successor.
		testpki.Write(t, cert, testpki.Encode("CERTIFICATE", second.Certificate...))
		c.at(81 * day)
		told = append(told, "ends in 9 days", "private key does not match")
		e.expect(t, "nine tenths", 0, told...)
		c.at(83 * day)
		told = append(told, "ends in 7 days")
		e.expect(t, "a week before", 0, told...)
		c.at(90*day + time.Second)
		told = append(told, "has ended")
		e.expect(t, "the end", 0, told...)
		c.at(100 * day)
		e.expect(t, "after the end", 0, told...)
		// Whoever else watches is told the same once.
		other := watching(t, p.Watch)
		c.at(101 * day)
		other.expect(t, "another watch", 0, "has ended", "private key does not match")

		testpki.WritePair(t, dir, second)
		c.at(135*day - time.Second)
		e.expect(t, "a successor", 1, told...)
		c.at(135 * day)
		e.expect(t, "three quarters of the successor's", 1, append(told, "ends in 45 days")...)
	})
}

func TestCertificateThatIsReplacedInTime(t *testing.T) {
	t.Parallel()
	c := newClock()
	root := testpki.New(t, "root")
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		issue := func() (cert, key string) {
			template := testpki.Leaf(t, "server.example")
			template.NotBefore, template.NotAfter = c.now(), c.now().Add(time.Hour)
			return testpki.WritePair(t, dir, root.Sign(t, template, testpki.Key(t)))
		}
		cert, key := issue()
		p, err := newPair(cert, key, c.now)
		if err != nil {
			t.Fatal(err)
		}
		e := watching(t, p.Watch)
		for i := range 10 {
			c.at(time.Duration(i) * 35 * time.Minute)
			issue()
			look()
		}
		e.expect(t, "ten of them", 10)
	})
}

// A chain is good until the first of its certificates ends.
func TestIntermediateThatEndsBeforeTheLeaf(t *testing.T) {
	t.Parallel()
	c := newClock()
	between := testpki.New(t, "root").Authority(t, "between", c.good(30*day))
	template := testpki.Leaf(t, "server.example")
	c.good(90 * day)(template)
	pair := between.Sign(t, template, testpki.Key(t))
	synctest.Test(t, func(t *testing.T) {
		cert, key := testpki.WritePair(t, t.TempDir(), pair)
		p, err := newPair(cert, key, c.now)
		if err != nil {
			t.Fatal(err)
		}
		e := watching(t, p.Watch)
		c.at(22*day + 12*time.Hour - time.Second)
		e.expect(t, "before three quarters", 0)
		c.at(22*day + 12*time.Hour)
		e.expect(t, "three quarters", 0, `"CN=between", which has issued the certificate of "dns:server.example", ends in 7 days`)
	})
}

func TestAuthoritiesThatEnd(t *testing.T) {
	t.Parallel()
	type one struct {
		name string
		key  int // those with the same number have the same key
		life time.Duration
	}
	for name, test := range map[string]struct {
		bundle []one
		want   []string // all of it in one message, when nine tenths of 40 days have passed
	}{
		"alone":                 {[]one{{"one", 1, 40 * day}}, []string{`the authority "CN=one" ends in 4 days`}},
		"beside another":        {[]one{{"one", 1, 40 * day}, {"two", 2, 400 * day}}, []string{`the authority "CN=one" ends in 4 days`}},
		"two at once":           {[]one{{"one", 1, 40 * day}, {"two", 2, 39 * day}}, []string{`the authority "CN=two" ends in 3 days, at `, `add its successor, or remove it (and 1 more)`}},
		"same subject, longer":  {[]one{{"one", 1, 40 * day}, {"one", 2, 400 * day}}, nil},
		"same key, longer":      {[]one{{"one", 1, 40 * day}, {"two", 1, 400 * day}}, nil},
		"same subject, shorter": {[]one{{"one", 1, 40 * day}, {"one", 2, 20 * day}}, []string{`the authority "CN=one" ends in 4 days`}},
		"ended long ago":        {[]one{{"one", 1, day}, {"two", 2, 400 * day}}, nil},
		"three quarters only":   {[]one{{"one", 1, 47 * day}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newClock()
				root := testpki.New(t, "root")
				keys := []crypto.Signer{nil, testpki.Key(t), testpki.Key(t)}
				var bundle []byte
				for _, a := range test.bundle {
					template := &x509.Certificate{
						SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: a.name},
						IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
					}
					c.good(a.life)(template)
					bundle = append(bundle, testpki.Encode("CERTIFICATE", root.Sign(t, template, keys[a.key]).Leaf.Raw)...)
				}
				c.after.Store(int64(2 * day))
				b, err := newBundle([]string{testpki.Write(t, filepath.Join(t.TempDir(), "ca.pem"), bundle)}, c.now)
				if err != nil {
					t.Fatal(err)
				}
				e := watching(t, b.Watch)
				c.at(36 * day)
				if len(test.want) == 0 {
					e.expect(t, "nine tenths", 0)
				}
				for _, want := range test.want {
					e.expect(t, "nine tenths", 0, want)
				}
			})
		})
	}
}

// Whose list ends locks its clients out.
func TestRevocationListThatEndsWithoutSuccessor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		root, other, namesake := testpki.New(t, "root"), testpki.New(t, "other"), testpki.New(t, "root")
		until := func(life time.Duration) func(*x509.RevocationList) {
			return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = c.since, c.since.Add(life) }
		}
		path := testpki.Write(t, filepath.Join(t.TempDir(), "crl"), slices.Concat(root.CRL(t, 1, until(10*day)), other.CRL(t, 1, until(20*day)), namesake.CRL(t, 1, until(40*day))))
		r, err := newRevocations([]string{path}, c.now)
		if err != nil {
			t.Fatal(err)
		}
		e := watching(t, r.Watch)
		c.at(9*day - time.Second)
		e.expect(t, "before nine tenths", 0)
		c.at(9 * day)
		told := []string{`the list of "CN=root" ends in 24h0m0s`}
		e.expect(t, "nine tenths", 0, told...)
		c.at(10*day + time.Second)
		told = append(told, `the list of "CN=root" has ended`)
		e.expect(t, "the end", 0, told...)
		// A longer list beside it is its successor.
		testpki.Write(t, path, slices.Concat(root.CRL(t, 2, until(40*day)), root.CRL(t, 1, until(20*day)), other.CRL(t, 2, until(40*day))))
		c.at(19 * day)
		e.expect(t, "successors", 1, told...)
	})
}
