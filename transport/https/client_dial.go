package https

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/pki"
)

// A dialer makes the connections of a client, and knows those that are open.
type dialer struct {
	conf ClientConfig
	now  func() time.Time
	// resolve and connect are those of net.
	connect func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error)

	mu     sync.Mutex
	closed bool
	open   map[*clientConn]struct{}
}

// A clientConn is an open connection and what it was verified by.
type clientConn struct {
	net.Conn

	done  func()
	pool  *x509.CertPool // guarded by the dialer's mu, as is state
	state *tls.ConnectionState
	host  string
}

// Close closes the connection.
func (c *clientConn) Close() error {
	c.done()
	return c.Conn.Close()
}

func newDialer(conf ClientConfig) *dialer {
	return &dialer{
		conf: conf, now: time.Now, open: make(map[*clientConn]struct{}),
		connect: func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		},
	}
}

func noPlainText(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("https: the client speaks TLS only")
}

// dial connects to a host and verifies it.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.conf.Connect > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.conf.Connect)
		defer cancel()
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	pool, err := d.pool()
	if err != nil {
		return nil, err
	}
	raw, err := d.connect(ctx, d.net(host), network, net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	conn := &clientConn{Conn: raw, pool: pool, host: host}
	conn.done = sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.open, conn)
	})
	secured := tls.Client(conn, d.tls(host, pool))
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	state := secured.ConnectionState()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.Join(errors.New("https: the client is closed"), conn.Conn.Close())
	}
	conn.state = &state
	d.open[conn] = struct{}{}
	return secured, nil
}

// net returns the dialer for a host. It judges the address that is connected to, after all
// that a name may have led to.
func (d *dialer) net(host string) *net.Dialer {
	_, err := netip.ParseAddr(host)
	named := err == nil || host == "localhost" // the URL itself says it
	return &net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		return judgeAddress(address, named || d.conf.Private)
	}}
}

func (d *dialer) pool() (*x509.CertPool, error) {
	if d.conf.CAs == nil {
		return nil, nil // the system's: see ClientConfig.SystemRoots
	}
	if pool := d.conf.CAs.Pool(); pool != nil {
		return pool, nil
	}
	return nil, errors.New("https: no server can be verified: ClientConfig.CAs has no authorities")
}

// tls returns the configuration of one handshake. Sessions are not resumed, so each one
// verifies the server anew.
func (d *dialer) tls(host string, pool *x509.CertPool) *tls.Config {
	c := &tls.Config{
		MinVersion:       tls.VersionTLS13,
		CurvePreferences: groups,
		NextProtos:       []string{"h2", "http/1.1"},
		ServerName:       host,
		RootCAs:          pool,
		Time:             d.now,
		VerifyConnection: func(cs tls.ConnectionState) error { return d.verify(&cs, host, pool) },
	}
	if d.conf.Certificate != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return d.conf.Certificate.Certificate(nil)
		}
	}
	if d.conf.SPIFFE {
		c.InsecureSkipVerify = true // verify does it all, but for the host name
	}
	return c
}

// verify judges a server's certificates: whole, so that it serves for open connections too.
func (d *dialer) verify(cs *tls.ConnectionState, host string, pool *x509.CertPool) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("https: the server has shown no certificate")
	}
	if d.conf.SPIFFE {
		host = ""
		if uris := cs.PeerCertificates[0].URIs; len(uris) != 1 || uris[0].Scheme != "spiffe" {
			return errors.New("https: the server has no SPIFFE ID")
		}
	}
	between := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		between.AddCert(c)
	}
	chains, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{
		DNSName: host, Roots: pool, Intermediates: between, CurrentTime: d.now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return err
	}
	for _, chain := range chains {
		if err = d.accept(chain); err == nil {
			return nil
		}
	}
	return fmt.Errorf("https: the server's certificate is not accepted: %w", err)
}

func (d *dialer) accept(chain []*x509.Certificate) error {
	if err := pki.Suitable(chain, x509.ExtKeyUsageServerAuth); err != nil {
		return err
	}
	if d.conf.Server == nil {
		return nil
	}
	return d.conf.Server.Accept(chain)
}

// recheck ends the connections that would not be made any more.
func (d *dialer) recheck() {
	pool, err := d.pool()
	d.mu.Lock()
	var over []*clientConn
	for conn := range d.open {
		bad := err
		if bad == nil {
			bad = d.verify(conn.state, conn.host, pool)
		}
		if bad != nil {
			over = append(over, conn)
			d.conf.Log.Warn("https: a client's connection is ended", "host", conn.host, "error", bad)
		}
	}
	d.mu.Unlock()
	for _, conn := range over {
		_ = conn.Close() // whoever uses it is told
	}
}

// close ends all connections, and refuses others.
func (d *dialer) close() {
	d.mu.Lock()
	d.closed = true
	var all []*clientConn
	for conn := range d.open {
		all = append(all, conn)
	}
	d.mu.Unlock()
	for _, conn := range all {
		_ = conn.Close() // whoever uses it is told
	}
}
