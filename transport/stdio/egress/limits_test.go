package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestByteLimits(t *testing.T) {
	t.Parallel()
	w := serve(t, func(c *Config) { c.Limits.Sent = 3000 })
	got, err := w.get(w.transparent(t, "allowed.test", 443), "allowed.test")
	if err != nil || !strings.Contains(got, "200 OK") {
		t.Fatalf("%q %v", got, err)
	}
	w.world.names["raw.test"] = []string{"93.184.216.60"}
	c := w.transparent(t, "raw.test", 25)
	for range 100 {
		if _, err = c.Write(make([]byte, 1000)); err != nil {
			break
		}
	}
	io.Copy(io.Discard, c)
	sent := int64(0)
	var cut []Event
	for _, e := range w.ended() {
		sent += e.BytesOut
		if e.Reason != "" {
			cut = append(cut, e)
		}
	}
	if sent > 3000 {
		t.Errorf("%d bytes went out", sent)
	}
	if len(cut) != 1 || cut[0].Reason != codeBytes.Name || !cut[0].Allowed || cut[0].Name != "raw.test" {
		t.Errorf("%+v", cut)
	}

	w = serve(t, func(c *Config) { c.Limits.Received = 100 })
	if got, err := w.get(w.transparent(t, "allowed.test", 443), "allowed.test"); err == nil {
		t.Errorf("received %q", got)
	}
	if e := w.ended(); len(e) != 1 || e[0].Reason != codeBytes.Name {
		t.Errorf("%+v", e)
	}
}

func TestTotalOfConnections(t *testing.T) {
	t.Parallel()
	w := serve(t, func(c *Config) { c.Limits.Total = 2 })
	const request = "GET http://plain.test/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for i, want := range []string{"200 OK", "200 OK", "503 Service Unavailable", "503 Service Unavailable"} {
		if got := w.exchange(t, request); !strings.Contains(got, want) {
			t.Errorf("%d: %q", i, got)
		}
	}
	if d := w.world.dialled(); len(d) != 2 {
		t.Errorf("dialled %v", d)
	}
}

func TestLimitsThatAreMistakes(t *testing.T) {
	t.Parallel()
	p, _ := Parse()
	for _, l := range []Limits{{Parallel: -1}, {Total: -1}, {Sent: -1}, {Received: -1}, {Idle: -1}, {Handshake: -1}, {Queries: -1}} {
		if _, err := NewServer(Config{Policy: p, Limits: l}); err == nil {
			t.Errorf("%+v is taken", l)
		}
	}
	if _, err := NewServer(Config{}); err == nil {
		t.Error("no policy is taken")
	}
	if l, err := (Limits{}).withDefaults(); err != nil || l != DefaultLimits {
		t.Errorf("%+v %v", l, err)
	}
}

// pipes are listeners and hosts without sockets, so that time can be made up.
type pipes struct {
	conns chan net.Conn
	far   chan net.Conn // the hosts' ends
}

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p *pipes) Close() error {
	defer func() { _ = recover() }() // closed twice
	close(p.conns)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// timed runs a test in which time is made up, with a server that listens on pipes.
func timed(t *testing.T, rule string, test func(t *testing.T, p *pipes, events *[]Event)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{make(chan net.Conn), make(chan net.Conn, 10)}
		var events []Event
		policy, err := Parse(rule)
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewServer(Config{
			Policy: policy, Limits: Limits{Idle: time.Minute, Handshake: 10 * time.Second},
			Resolve: func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
			},
			Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
				near, far := net.Pipe()
				p.far <- far
				return near, nil
			},
			OnEvent: func(e Event) { events = append(events, e) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Serve(Sockets{Proxy: p}); err != nil {
			t.Fatal(err)
		}
		test(t, p, &events)
		s.Close()
	})
}

func (p *pipes) connect() net.Conn {
	a, b := net.Pipe()
	p.conns <- b
	return a
}

func TestConnectionThatSaysNothing(t *testing.T) {
	t.Parallel()
	timed(t, "allowed.test", func(t *testing.T, p *pipes, events *[]Event) {
		t.Helper()
		begin := time.Now()
		for _, start := range []string{"", "\x05", "CONN", "CONNECT allowed.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"} {
			c := p.connect()
			go io.WriteString(c, start)
			all, _ := io.ReadAll(c)
			if took := time.Since(begin); took > 25*time.Second {
				t.Errorf("%q: closed after %v", start, took)
			}
			if strings.HasPrefix(start, "CONNECT") != strings.Contains(string(all), " 200 ") {
				t.Errorf("%q: %q", start, all)
			}
			c.Close()
			synctest.Wait()
			begin = time.Now()
		}
		if len(*events) != 4 {
			t.Errorf("%+v", *events)
		}
		for _, e := range *events {
			if e.Allowed {
				t.Errorf("%+v", e)
			}
		}
	})
}

func TestIdleConnection(t *testing.T) {
	t.Parallel()
	timed(t, "allowed.test:25 tcp", func(t *testing.T, p *pipes, events *[]Event) {
		t.Helper()
		c := p.connect()
		io.WriteString(c, "CONNECT allowed.test:25 HTTP/1.1\r\nHost: x\r\n\r\n")
		head := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
		if _, err := io.ReadFull(c, head); err != nil {
			t.Fatal(err)
		}
		far := <-p.far
		for range 3 { // as long as something moves it is not idle
			time.Sleep(50 * time.Second) //nolint:forbidigo // of the bubble
			go far.Write([]byte("x"))
			if _, err := c.Read(head[:1]); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		if _, err := c.Read(head[:1]); err == nil {
			t.Error("something came")
		}
		if took := time.Since(begin); took < 59*time.Second || took > 61*time.Second {
			t.Errorf("closed after %v", took)
		}
		synctest.Wait()
		if len(*events) != 1 || (*events)[0].Reason != codeTimeout.Name || !(*events)[0].Allowed || (*events)[0].BytesIn != 3 {
			t.Errorf("%+v", *events)
		}
	})
}

// A program that takes nothing of what it asked for does not hold the connection for ever.
func TestProgramThatDoesNotRead(t *testing.T) {
	t.Parallel()
	timed(t, "allowed.test:25 tcp", func(t *testing.T, p *pipes, events *[]Event) {
		t.Helper()
		c := p.connect()
		io.WriteString(c, "CONNECT allowed.test:25 HTTP/1.1\r\nHost: x\r\n\r\n")
		io.ReadFull(c, make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n")))
		far := <-p.far
		far.Write(make([]byte, 100)) // which cannot be passed on
		if _, err := io.Copy(io.Discard, far); err != nil {
			t.Log(err)
		}
		synctest.Wait()
		if len(*events) != 1 || (*events)[0].Reason != codeTimeout.Name {
			t.Errorf("%+v", *events)
		}
	})
}

func TestRefusalsAreReportedInBoundedNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reported, counted int64
		p, _ := Parse()
		s, err := NewServer(Config{Policy: p, OnEvent: func(e Event) {
			reported++
			counted += 1 + e.Suppressed
		}})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(n int) {
			for range n {
				if _, err := s.Connect(t.Context(), netip.MustParseAddrPort("8.8.8.8:443")); err == nil {
					t.Error("permitted")
				}
			}
		}
		ask(5000)
		if reported != refusalBurst {
			t.Errorf("%d are reported", reported)
		}
		time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		ask(50)
		if reported != refusalBurst+50 || counted != 5050 {
			t.Errorf("%d are reported, %d counted", reported, counted)
		}
		ask(1000)
		s.Close()
		if counted != 6050 {
			t.Errorf("%d are counted in the end", counted)
		}
	})
}

func TestClosedServer(t *testing.T) {
	t.Parallel()
	w := serve(t)
	c := w.transparent(t, "allowed.test", 443) // says nothing
	w.Close()
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Log(err)
	}
	w.Close()
	if _, err := w.Connect(t.Context(), netip.AddrPortFrom(w.names.address("allowed.test"), 443)); err == nil {
		t.Error("a closed server connects")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Serve(Sockets{Proxy: l}); err == nil {
		t.Error("a closed server serves")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}

func TestConnectByNotify(t *testing.T) {
	t.Parallel()
	w := serve(t)
	for address, reason := range map[string]string{
		"8.8.8.8:443":          codeNotListed.Name,
		"169.254.169.254:80":   codeNotListed.Name,
		"127.0.0.1:22":         codeNotListed.Name,
		"127.0.0.2:3128":       codeNotListed.Name, // the proxy is in one place
		"[::1]:22":             codeNotListed.Name,
		"198.18.99.99:443":     codeNotListed.Name,
		"93.184.216.34:443":    codeNotListed.Name,
		"0.0.0.0:443":          codeNotListed.Name,
		"[::ffff:8.8.8.8]:443": codeNotListed.Name,
	} {
		c, err := w.Connect(t.Context(), netip.MustParseAddrPort(address))
		if d := mcpsec.AsDenial(err); d == nil || d.Code != reason {
			t.Errorf("%s: %v %v", address, c, err)
		}
	}
	if c, err := w.Connect(t.Context(), netip.AddrPortFrom(w.names.address("allowed.test"), 22)); err == nil {
		c.Close()
		t.Error("a port that is not listed")
	}
	c, err := w.Connect(t.Context(), netip.MustParseAddrPort("127.0.0.1:3128"))
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "CONNECT denied.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
	all, _ := io.ReadAll(c)
	contains(t, string(all), "403 Forbidden")
	c, err = w.Connect(t.Context(), netip.MustParseAddrPort("[::ffff:93.184.216.40]:443")) // a listed address
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	if got, err := w.get(c, ""); err != nil || !strings.Contains(got, "200 OK") && !strings.Contains(got, "400 Bad Request") {
		t.Errorf("%q %v", got, err)
	}
}

func TestDialer(t *testing.T) {
	t.Parallel()
	w := newInternet(t)
	w.names["rebind.test"] = []string{"169.254.169.254"}
	c := w.config(t, "plain.test:80", "rebind.test")
	d, err := NewDialer(c)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}}
	defer client.CloseIdleConnections()
	for range 2 {
		res, err := client.Get("http://plain.test/x")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	for address, code := range map[string]string{
		"denied.test:443": codeNotListed.Name, "plain.test:443": codeNotListed.Name, "rebind.test:443": codeAddress.Name,
		"169.254.169.254:80": codeNotListed.Name, "plain.test": codeMalformed.Name, "plain.test:http": codeMalformed.Name,
	} {
		if _, err := d.DialContext(t.Context(), "tcp", address); mcpsec.AsDenial(err) == nil || mcpsec.AsDenial(err).Code != code {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := d.DialContext(t.Context(), "udp", "plain.test:80"); err == nil {
		t.Error("UDP is dialled")
	}
	c.Limits.Parallel = 1
	if d, err = NewDialer(c); err != nil {
		t.Fatal(err)
	}
	held, err := d.DialContext(t.Context(), "tcp", "plain.test:80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.DialContext(t.Context(), "tcp", "plain.test:80"); mcpsec.AsDenial(err) == nil || mcpsec.AsDenial(err).Code != codeConnections.Name {
		t.Errorf("one too many: %v", err)
	}
	held.Close()
	held.Close()
	again, err := d.DialContext(t.Context(), "tcp", "plain.test:80")
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if _, err := NewDialer(Config{}); err == nil {
		t.Error("no policy is taken")
	}
}
