package https

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
)

// A queue is a listener whose connections a test makes.
type queue struct {
	net.Listener

	conns chan net.Conn
}

func (q queue) Accept() (net.Conn, error) {
	c, ok := <-q.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

type fakeConn struct {
	net.Conn

	from   string
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr { return address(c.from) }
func (c *fakeConn) Close() error         { c.closed = true; return nil }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

func TestConnectionCaps(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		most, per int
		from      []string
		accepted  []bool
	}{
		"total":                       {2, -1, []string{"192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"}, []bool{true, true, false}},
		"one address":                 {9, 2, []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.2:1"}, []bool{true, true, false, true}},
		"addresses of one IPv6 /64":   {9, 2, []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::ffff:3]:1", "[2001:db8:0:1::1]:1"}, []bool{true, true, false, true}},
		"IPv4 written as IPv6":        {9, 1, []string{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", "[::ffff:192.0.2.2]:2"}, []bool{true, false, true}},
		"zones are no other hosts":    {9, 1, []string{"[fe80::1%eth0]:1", "[fe80::1%eth1]:1"}, []bool{true, false}},
		"Unix sockets count in total": {2, 1, []string{"@", "@", "@"}, []bool{true, true, false}},
		"no bound":                    {-1, -1, []string{"192.0.2.1:1", "192.0.2.1:2"}, []bool{true, true}},
		"none at all":                 {0, -1, []string{"192.0.2.1:1"}, []bool{false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := queue{conns: make(chan net.Conn, 9)}
			refused := 0
			l := limitListener(q, test.most, test.per, func(net.Addr) { refused++ })
			var raw []*fakeConn
			for _, from := range test.from {
				c := &fakeConn{from: from}
				raw = append(raw, c)
				q.conns <- c
			}
			close(q.conns)
			var open []net.Conn
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				open = append(open, c)
			}
			want := 0
			for i, accepted := range test.accepted {
				if !accepted {
					want++
				}
				if raw[i].closed == accepted {
					t.Errorf("connection %d: closed %v", i, raw[i].closed)
				}
			}
			if refused != want {
				t.Errorf("%d refused, want %d", refused, want)
			}
			for _, c := range open {
				_, _ = c.Close(), c.Close() // twice gives back once
			}
			if l := l.(*capped); l.total != 0 || len(l.of) != 0 {
				t.Errorf("%d and %v are left", l.total, l.of)
			}
		})
	}
}

// A lenient listener has connections without deadlines. When it is strict, the first few have
// those that were set.
type lenient struct {
	net.Listener

	mu     sync.Mutex
	first  []*unhurried
	strict bool
}

func (l *lenient) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	u := &unhurried{TCPConn: c.(*net.TCPConn), of: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.first) < cap(l.first) {
		l.first = append(l.first, u)
	}
	return u, nil
}

func (l *lenient) enforce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strict = true
	for _, c := range l.first {
		_ = c.TCPConn.SetReadDeadline(c.deadline) // zero is none
	}
}

type unhurried struct {
	*net.TCPConn

	of       *lenient
	deadline time.Time
}

func (c *unhurried) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *unhurried) SetWriteDeadline(time.Time) error { return nil }
func (c *unhurried) SetReadDeadline(t time.Time) error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.deadline = t
	if t.IsZero() || t.Before(time.Unix(2, 0)) || c.of.strict && slices.Contains(c.of.first, c) {
		return c.TCPConn.SetReadDeadline(t) // net/http also ends reads of its own by one that has passed
	}
	return nil
}

// Who holds connections that never become TLS loses them, and others get in.
func TestSilentClientsGiveTheirPlacesBack(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	easy := &lenient{Listener: inner, first: make([]*unhurried, 0, 3)}
	l := limitListener(easy, 3, 3, nil)
	server := &http.Server{
		ReadHeaderTimeout: 100 * time.Millisecond, TLSConfig: tlsConfig(shown{cert: root.Issue(t, "127.0.0.1")}, nil, nil), Handler: http.NotFoundHandler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
	}
	var group sync.WaitGroup
	group.Go(func() { _ = server.ServeTLS(l, "", "") })
	t.Cleanup(func() { _ = server.Close(); group.Wait() })
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	silent := []net.Conn{dial(), dial(), dial()}
	_, _ = silent[1].Write([]byte{22, 3, 1})
	fourth, err := net.Dial("tcp", inner.Addr().String())
	if err == nil { // or it is reset as soon as that
		_ = fourth.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = io.ReadAll(fourth)
		_ = fourth.Close()
	}
	if err == nil {
		t.Error("the fourth connection was not reset")
	}
	easy.enforce()
	for _, c := range silent {
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("a silent connection ended with %v", err)
		}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS(root), DisableKeepAlives: true}}
	until(t, "the end of those that said nothing", func() bool {
		resp, err := client.Get("https://" + inner.Addr().String())
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
}
