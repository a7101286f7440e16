package egress

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what takes no time unless the machine is busy.
const patience = time.Minute

// An internet is what lies behind the host: names, addresses and two web servers, which
// all addresses lead to: TLS on ports 443 and 8443, HTTP on others.
type internet struct {
	https, http *httptest.Server
	roots       *x509.CertPool
	rootFile    string

	mu     sync.Mutex
	names  map[string][]string // what a name resolves to; the last is repeated
	asked  []string            // names looked up
	dialed []string            // addresses connected to
	events []Event
}

func newInternet(tb testing.TB) *internet {
	tb.Helper()
	w := &internet{names: map[string][]string{
		"allowed.test": {"93.184.216.34"}, "a.wild.test": {"93.184.216.35"}, "b.a.wild.test": {"93.184.216.35"},
		"plain.test": {"93.184.216.36"}, "other.test": {"93.184.216.37"}, "xn--bcher-kva.test": {"93.184.216.38"},
		"rebind.test": {"169.254.169.254"},
	}}
	cert, roots, text := certify(tb)
	w.roots, w.rootFile = roots, filepath.Join(tb.TempDir(), "root.pem")
	if err := os.WriteFile(w.rootFile, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	answer := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "websocket" {
			upgrade(rw)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(rw, "host=%s path=%s query=%s body=%s proxy-auth=%q", r.Host, r.URL.Path, r.URL.RawQuery, body, r.Header.Get("Proxy-Authorization"))
	})
	w.https, w.http = httptest.NewUnstartedServer(answer), httptest.NewServer(answer)
	w.https.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	w.https.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.https.StartTLS()
	tb.Cleanup(w.https.Close)
	tb.Cleanup(w.http.Close)
	return w
}

// upgrade answers a WebSocket handshake and echoes what comes.
func upgrade(rw http.ResponseWriter) {
	c, b, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	io.Copy(c, b)
}

// certify makes a root and a certificate for the names of the tests.
func certify(tb testing.TB) (tls.Certificate, *x509.CertPool, []byte) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		DNSNames:    []string{"allowed.test", "*.wild.test", "b.a.wild.test", "other.test", "xn--bcher-kva.test"},
		IPAddresses: []net.IP{net.IPv4(93, 184, 216, 40)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	roots := x509.NewCertPool()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots.AppendCertsFromPEM(text)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots, text
}

func (w *internet) resolve(_ context.Context, name string) ([]netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, name)
	answers, ok := w.names[name]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	if len(answers) > 1 {
		w.names[name] = answers[1:]
	}
	var addresses []netip.Addr
	for text := range strings.FieldsSeq(answers[0]) {
		addresses = append(addresses, netip.MustParseAddr(text))
	}
	return addresses, nil
}

func (w *internet) dial(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	w.dialed = append(w.dialed, address.String())
	w.mu.Unlock()
	server := w.http
	if address.Port() == 443 || address.Port() == 8443 {
		server = w.https
	}
	if address.Port() == 1 {
		return nil, errors.New("connection refused")
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
}

func (w *internet) record(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// dialled returns the addresses that were connected to.
func (w *internet) dialled() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.dialed)
}

// refusals returns the reasons of refusals, in order.
func (w *internet) refusals() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var reasons []string
	for _, e := range w.events {
		if !e.Allowed {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

func (w *internet) config(tb testing.TB, rules ...string) Config {
	tb.Helper()
	p, err := Parse(rules...)
	if err != nil {
		tb.Fatal(err)
	}
	return Config{Policy: p, Resolve: w.resolve, Dial: w.dial, OnEvent: w.record}
}

// A way is a server with a proxy, and an address for it.
type way struct {
	*Server

	world *internet
	addr  string
}

var standard = []string{
	"allowed.test", "allowed.test:8443", "allowed.test:80", "*.wild.test", "plain.test:80", "plain.test:8080",
	"bücher.test", "rebind.test", "rebind.test:80", "mixed.test", "raw.test:25 tcp", "down.test:1", "nowhere.test",
	"inside.test:80 private", "self.test:80 host", "93.184.216.40", "10.0.0.5:80", "twice.test:80",
}

// serve starts a server with the standard policy, and a proxy.
func serve(tb testing.TB, change ...func(*Config)) *way {
	tb.Helper()
	w := newInternet(tb)
	c := w.config(tb, standard...)
	for _, f := range change {
		f(&c)
	}
	s, err := NewServer(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Serve(Sockets{Proxy: l}); err != nil {
		tb.Fatal(err)
	}
	return &way{s, w, l.Addr().String()}
}

// ended closes the server, so that every event is there, and returns them.
func (w *way) ended() []Event {
	w.Close()
	w.world.mu.Lock()
	defer w.world.mu.Unlock()
	return slices.Clone(w.world.events)
}

// proxy connects to the proxy.
func (w *way) proxy(tb testing.TB) net.Conn {
	tb.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// exchange sends text to the proxy and returns all that comes back.
func (w *way) exchange(tb testing.TB, text string) string {
	tb.Helper()
	c := w.proxy(tb)
	if _, err := io.WriteString(c, text); err != nil {
		tb.Fatal(err)
	}
	all, _ := io.ReadAll(c) // a reset after the answer is no matter
	return string(all)
}

// transparent connects to a name as programs do that know of no proxy: it asks for its
// address and connects to that.
func (w *way) transparent(tb testing.TB, name string, port uint16) net.Conn {
	tb.Helper()
	c, err := w.Connect(tb.Context(), netip.AddrPortFrom(w.names.address(name), port))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// get speaks TLS under a server name and sends a request.
func (w *way) get(c net.Conn, serverName string) (string, error) {
	config := &tls.Config{RootCAs: w.world.roots, ServerName: serverName}
	if serverName == "" {
		config.InsecureSkipVerify = true
	}
	tc := tls.Client(c, config)
	if err := tc.Handshake(); err != nil {
		return "", err
	}
	fmt.Fprintf(tc, "GET /x HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", serverName)
	all, err := io.ReadAll(tc)
	return string(all), err
}

func contains(tb testing.TB, got, want string) {
	tb.Helper()
	if !strings.Contains(got, want) {
		tb.Errorf("got %q, want it to contain %q", got, want)
	}
}
