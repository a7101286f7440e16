package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
)

func TestDeliver(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"TLS 1.3": tls.VersionTLS13, "TLS 1.2": tls.VersionTLS12} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := listen(t, func(_ *authority, c *tls.Config) { c.MaxVersion = version }, polite)
			d := r.destination(t)
			defer d.Close()
			for range 3 {
				rejected, err := d.Deliver(t.Context(), batch(200))
				if err != nil || len(rejected) != 0 {
					t.Fatal(rejected, err)
				}
			}
			got := r.got() // all read before Deliver returned
			if len(got) != 600 {
				t.Fatalf("%d of 600 messages", len(got))
			}
			for i, m := range got {
				if want := fmt.Sprintf(` call="call-%d" `, i%200); !strings.Contains(m, want) {
					t.Fatalf("message %d is %s", i, m)
				}
			}
		})
	}
}

// A receiver that did not read everything, or may not have, confirms nothing.
func TestNoConfirmation(t *testing.T) {
	t.Parallel()
	reset := func(tcp *net.TCPConn) { _ = tcp.SetLinger(0); tcp.Close() }
	for name, c := range map[string]struct {
		serve func(r *receiver, tcp *net.TCPConn, c *tls.Conn)
		want  string
	}{
		"killed before the handshake": {func(_ *receiver, tcp *net.TCPConn, _ *tls.Conn) { reset(tcp) }, "reset"},
		"killed after the handshake": {func(_ *receiver, tcp *net.TCPConn, c *tls.Conn) {
			_ = c.Handshake()
			reset(tcp)
		}, ""},
		"killed in the middle": {func(r *receiver, tcp *net.TCPConn, c *tls.Conn) {
			_ = r.keep(c, 100)
			reset(tcp)
		}, ""},
		"killed after the last message": {func(r *receiver, tcp *net.TCPConn, c *tls.Conn) {
			_ = r.keep(c, 500)
			reset(tcp)
		}, ""},
		"process ended with messages unread": {func(r *receiver, tcp *net.TCPConn, c *tls.Conn) {
			_ = r.keep(c, 100)
			tcp.Close()
		}, ""},
		"no closure alert": {func(r *receiver, tcp *net.TCPConn, c *tls.Conn) {
			_ = r.keep(c, all)
			tcp.Close()
		}, "without the TLS closure alert"},
		"says goodbye without reading": {func(_ *receiver, tcp *net.TCPConn, c *tls.Conn) {
			_ = c.Handshake()
			c.Close()
		}, ""},
		"says goodbye in the middle": {func(r *receiver, _ *net.TCPConn, c *tls.Conn) {
			_ = r.keep(c, 100)
			c.Close()
		}, ""},
		"floods us with data": {func(_ *receiver, _ *net.TCPConn, c *tls.Conn) {
			for {
				if _, err := c.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, ""},
		"speaks no TLS": {func(_ *receiver, tcp *net.TCPConn, _ *tls.Conn) {
			_, _ = tcp.Write([]byte("220 mail.example ESMTP\r\n"))
			_, _ = io.Copy(io.Discard, tcp)
		}, "handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := listen(t, nil, c.serve).destination(t)
			rejected, err := d.Deliver(t.Context(), batch(500))
			if err == nil || rejected != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), d.address) {
				t.Errorf("%v, %v", rejected, err)
			}
		})
	}
}

func TestBareCloseIfAllowed(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]bool{all: true, 100: false} {
		r := listen(t, nil, func(r *receiver, tcp *net.TCPConn, c *tls.Conn) {
			_ = r.keep(c, limit)
			tcp.Close()
		})
		d := r.destination(t)
		d.bare = true
		if _, err := d.Deliver(t.Context(), batch(2000)); (err == nil) != want {
			t.Errorf("a receiver that read %d messages at most: %v", limit, err)
		}
	}
}

// A goodbye that does not answer ours says nothing of what was read.
func TestEarlyGoodbyeIsNoAnswer(t *testing.T) {
	t.Parallel()
	r := listen(t, nil, func(_ *receiver, tcp *net.TCPConn, c *tls.Conn) {
		_ = c.Handshake()
		_ = c.CloseWrite()
		_ = tcp.CloseWrite()
		_, _ = io.Copy(io.Discard, tcp)
	})
	s, err := r.destination(t).dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.awaitEnd(); !errors.Is(err, errEarly) {
		t.Error(err)
	}
}

// After any failure the same records come again, and then all of them are there.
func TestKilledInTheMiddleLosesNothing(t *testing.T) {
	t.Parallel()
	deaths := 0
	r := listen(t, nil, func(r *receiver, tcp *net.TCPConn, c *tls.Conn) {
		deaths++ // connections come one after the other
		if deaths%2 == 1 {
			_ = r.keep(c, 40*deaths)
			_ = tcp.SetLinger(0)
			return
		}
		polite(r, tcp, c)
	})
	d := r.destination(t)
	records := batch(900)
	failures := 0
	for from := 0; from < len(records); {
		_, err := d.Deliver(t.Context(), records[from:from+300])
		if err != nil {
			failures++
			continue
		}
		from += 300
	}
	seen := make(map[string]int)
	for _, m := range r.got() {
		seen[params(t, parse(t, m))["id"]]++
	}
	repeated := 0
	for i := range records {
		n := seen[records[i].ID()]
		if n == 0 {
			t.Fatalf("record %d is lost", i)
		}
		repeated += n - 1
	}
	if failures != 3 || repeated == 0 {
		t.Errorf("%d failures, %d repeated", failures, repeated)
	}
}

// bulk is more than what the kernels buffer between the two: 12 MB.
func bulk() []audit.Record {
	e := outcome("call", audit.Allowed)
	e.Reason = strings.Repeat("x", 6000)
	records := make([]audit.Record, 2000)
	for i := range records {
		records[i] = recordOf(uint64(i), e)
	}
	return records
}

// Whoever stalls costs what the context allows, and no more.
func TestStallEndsWithTheContext(t *testing.T) {
	t.Parallel()
	cargo := bulk()
	for name, serve := range map[string]func(r *receiver, tcp *net.TCPConn, c *tls.Conn){
		"half-open, no handshake": func(r *receiver, _ *net.TCPConn, _ *tls.Conn) { <-r.over },
		"reads nothing": func(r *receiver, _ *net.TCPConn, c *tls.Conn) {
			_ = c.Handshake()
			<-r.over
		},
		"reads everything and never closes": func(r *receiver, _ *net.TCPConn, c *tls.Conn) {
			_ = r.keep(c, all)
			<-r.over
		},
		"reads a byte a second": func(r *receiver, tcp *net.TCPConn, c *tls.Conn) {
			_ = tcp.SetReadBuffer(1024)
			_ = c.Handshake()
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-r.over:
					return
				case <-tick.C:
					_, _ = c.Read(make([]byte, 1))
				}
			}
		},
		"says goodbye and keeps TCP open": func(r *receiver, _ *net.TCPConn, c *tls.Conn) {
			_ = r.keep(c, all)
			_ = c.CloseWrite()
			<-r.over
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := listen(t, nil, serve).destination(t)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := d.Deliver(ctx, cargo)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := listen(t, nil, polite).destination(t).Deliver(ctx, batch(1)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReceiverIsVerified(t *testing.T) {
	t.Parallel()
	with := func(name string, until time.Time, at ...net.IP) func(*authority, *tls.Config) {
		return func(a *authority, c *tls.Config) { c.Certificates = []tls.Certificate{a.issue(name, until, at...)} }
	}
	mutual := func(a *authority, c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, a.pool }
	for name, c := range map[string]struct {
		config func(*authority, *tls.Config)
		client func(*receiver) *tls.Config
		want   string
	}{
		"expired":           {with("siem.example", time.Now().Add(-time.Minute), loopback), nil, "expired"},
		"another's name":    {with("other.example", soon()), nil, "127.0.0.1"},
		"unknown authority": {nil, func(*receiver) *tls.Config { return &tls.Config{RootCAs: x509.NewCertPool()} }, "unknown authority"},
		"system's roots":    {nil, func(*receiver) *tls.Config { return nil }, "certificate"},
		"TLS 1.1 only": {func(_ *authority, c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }, nil,
			"version"},
		"no client certificate": {mutual, nil, "certificate required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := listen(t, c.config, polite)
			conf := &tls.Config{RootCAs: r.pool}
			if c.client != nil {
				conf = c.client(r)
			}
			_, err := destination(t, Config{Address: r.address, TLS: conf}).Deliver(t.Context(), batch(20))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
			if n := len(r.got()); n != 0 {
				t.Errorf("%d messages were given away", n)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for name, c := range map[string]Config{
		"no such name":    {Address: "siem.invalid:6514"},
		"nobody listens":  {Address: l.Addr().String()},
		"not loopback":    {Address: "192.0.2.1:514", InsecureLoopbackTCP: true},
		"not loopback v6": {Address: "[2001:db8::1]:514", InsecureLoopbackTCP: true},
	} {
		d := destination(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := d.Deliver(ctx, batch(1))
		cancel()
		if err == nil || !strings.Contains(err.Error(), c.Address) || c.InsecureLoopbackTCP && !strings.Contains(err.Error(), "use TLS") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A loopback relay without TLS confirms by closing, and only after it has read.
func TestPlainTCP(t *testing.T) {
	t.Parallel()
	serve := func(limit int) *receiver {
		return listen(t, nil, func(r *receiver, tcp *net.TCPConn, _ *tls.Conn) { _ = r.keep(tcp, limit) })
	}
	r := serve(all)
	if _, err := destination(t, Config{Address: r.address, InsecureLoopbackTCP: true}).Deliver(t.Context(), batch(300)); err != nil {
		t.Fatal(err)
	}
	if n := len(r.got()); n != 300 {
		t.Errorf("%d of 300 messages", n)
	}
	if _, err := destination(t, Config{Address: serve(10).address, InsecureLoopbackTCP: true}).Deliver(t.Context(), batch(2000)); err == nil {
		t.Error("a relay that read 10 of 2000 messages confirmed them")
	}
}

func TestRejectedAreCounted(t *testing.T) {
	t.Parallel()
	r := listen(t, nil, polite)
	d := r.destination(t)
	records := batch(4)
	long := outcome("call-2", audit.Refused)
	long.Reason = strings.Repeat("x", 9000)
	records[2] = recordOf(2, long)
	rejected, err := d.Deliver(t.Context(), records)
	if err != nil || len(rejected) != 1 || rejected[0].Index != 2 || strings.Contains(rejected[0].Reason, "xxx") {
		t.Fatal(rejected, err)
	}
	got := r.got()
	if len(got) != 4 || !strings.Contains(got[2], ` omitted="`) || strings.Contains(got[2], "xxx") {
		t.Errorf("%q", got)
	}

	// Nothing is left to send, so nobody is asked.
	d = destination(t, Config{Address: "siem.invalid:6514", Format: raw{err: errors.New("no")}})
	if rejected, err := d.Deliver(t.Context(), batch(3)); err != nil || len(rejected) != 3 {
		t.Error(rejected, err)
	}
}

func TestConfigFaultsAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(Config{
		Address: "siem.example", TLS: &tls.Config{MinVersion: tls.VersionTLS10}, MaxBytes: 1024, Facility: 24,
	})
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, field := range []string{"Address", "TLS", "MaxBytes", "Facility"} {
		if !strings.Contains(err.Error(), "audit/syslog: Config."+field+": ") {
			t.Errorf("%s is not named in:\n%v", field, err)
		}
	}
	if _, err := New(Config{Address: "127.0.0.1:601", InsecureLoopbackTCP: true, TLS: &tls.Config{}}); err == nil {
		t.Error("TLS and no TLS at once")
	}
	for _, address := range []string{"", ":6514", "host:0", "host:syslog", "host:65536"} {
		if _, err := New(Config{Address: address}); err == nil {
			t.Errorf("address %q", address)
		}
	}
	mine := &tls.Config{}
	if _, err := New(Config{Address: "siem.example:6514", TLS: mine}); err != nil || mine.ServerName != "" || mine.MinVersion != 0 {
		t.Errorf("the caller's configuration was changed: %v", err)
	}
}

// What a connection for each batch costs: 500 records with a full handshake.
func BenchmarkDeliver(b *testing.B) {
	r := listen(b, nil, func(_ *receiver, _ *net.TCPConn, c *tls.Conn) {
		if _, err := io.Copy(io.Discard, c); err == nil {
			c.Close()
		}
	})
	d := r.destination(b)
	records := batch(500)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Deliver(b.Context(), records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/record")
}
