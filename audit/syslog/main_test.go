package syslog

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recordOf makes the line that a ledger has of an event.
func recordOf(seq uint64, e *audit.Event) audit.Record {
	line := fmt.Sprintf(`{"seq":%d,"prev":"%016x",`, seq, 0) + string(e.AppendJSON(nil))[1:]
	return audit.Record{Origin: "files", Seq: seq, Line: []byte(line)}
}

func outcome(id string, d audit.Decision) *audit.Event {
	return &audit.Event{
		Kind: audit.Outcome, Time: time.Date(2026, 11, 22, 9, 15, 0, 123456789, time.UTC), ID: id,
		Method: "tools/call", Name: "search", Decision: d,
		Principal: audit.Principal{Rung: "token", Issuer: "https://idp.example.com", Subject: "alice"},
		Latency:   1500 * time.Microsecond,
	}
}

// batch is n records with the ids call-0, call-1, ...
func batch(n int) []audit.Record {
	records := make([]audit.Record, n)
	for i := range records {
		records[i] = recordOf(uint64(i), outcome("call-"+strconv.Itoa(i), audit.Allowed))
	}
	return records
}

// hostile texts try to end a line, a string, a parameter, the structured data or a
// frame, or to write to the reader's terminal.
var hostile = []string{
	"plain", "two\nlines", "\r\n<13>1 - - - - - - forged", "nul\x00byte", "esc\x1b[2J", "tab\there", "del\x7f",
	`"] [evil@1 a="b"]`, `\" \] \\`, `back\slash\u0041`, "18 <13>1 - - - - - -", "U+2028\u2028end", "bidi\u202eevil",
	"c1\u0085next", "\ufeffbom", "bad\xff\xfeutf8", "cut\xe2\x80", "tag\U000e0041", "emoji😀", "naïve ‘名前’",
	strings.Repeat("x", 5000), strings.Repeat(`"`, 3000), strings.Repeat("\u202e", 2000), "%s%n ${jndi:ldap://x}", "a|b=c",
}

// An authority signs the certificates of a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a := &authority{t: tb, pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(template, nil)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue makes a certificate for a name and for 127.0.0.1 that ends at a time.
func (a *authority) issue(name string, until time.Time, addresses ...net.IP) tls.Certificate {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: addresses,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

var loopback = net.IPv4(127, 0, 0, 1)

func soon() time.Time { return time.Now().Add(time.Hour) }

// A receiver is a syslog receiver whose manners a test chooses.
type receiver struct {
	address string
	pool    *x509.CertPool
	over    <-chan struct{} // closed when the test is

	mu     sync.Mutex
	frames []string
}

// listen starts a receiver that hands each connection to serve.
func listen(tb testing.TB, config func(*authority, *tls.Config), serve func(r *receiver, tcp *net.TCPConn, c *tls.Conn)) *receiver {
	tb.Helper()
	a := newAuthority(tb)
	conf := &tls.Config{Certificates: []tls.Certificate{a.issue("siem.example", soon(), loopback)}, MinVersion: tls.VersionTLS12}
	if config != nil {
		config(a, conf)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &receiver{address: l.Addr().String(), pool: a.pool, over: tb.Context().Done()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(tb.Context(), func() { conn.Close() }) // tb.Context ends before Cleanup runs
				defer stop()
				serve(r, conn.(*net.TCPConn), tls.Server(conn, conf))
			})
		}
	})
	tb.Cleanup(func() { l.Close(); wg.Wait() })
	return r
}

// keep reads frames (RFC 5425) to the end, or until limit of them.
func (r *receiver) keep(c io.Reader, limit int) error {
	b := bufio.NewReader(c)
	for range limit {
		length, err := b.ReadString(' ')
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(strings.TrimSuffix(length, " "))
		if err != nil || n > maxBytes {
			return fmt.Errorf("not a frame: %q", length)
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(b, frame); err != nil {
			return err
		}
		r.mu.Lock()
		r.frames = append(r.frames, string(frame))
		r.mu.Unlock()
	}
	return nil
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.frames...)
}

const all = 1 << 30

// polite reads everything and answers the closure alert, as RFC 5425 has it.
func polite(r *receiver, _ *net.TCPConn, c *tls.Conn) {
	if err := r.keep(c, all); errors.Is(err, io.EOF) {
		c.Close()
	}
}

func destination(tb testing.TB, c Config) *Destination {
	tb.Helper()
	c.Hostname, c.ProcID = "host.example", "4711"
	d, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func (r *receiver) destination(tb testing.TB) *Destination {
	tb.Helper()
	return destination(tb, Config{Address: r.address, TLS: &tls.Config{RootCAs: r.pool}})
}
