package egress

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// echo returns the address of a server that sends back what it gets.
func echo(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

// From the call to the first byte back, by each way; plain is without egress.
func BenchmarkConnect(b *testing.B) {
	target := echo(b)
	p, err := Parse("allowed.test:25 tcp")
	if err != nil {
		b.Fatal(err)
	}
	s, err := NewServer(Config{
		Policy: p, Limits: Limits{Total: 1 << 40},
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
		},
		Dial: func(context.Context, netip.AddrPort) (net.Conn, error) { return net.Dial("tcp4", target) },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Serve(Sockets{Proxy: l}); err != nil {
		b.Fatal(err)
	}
	made := netip.AddrPortFrom(s.names.address("allowed.test"), 25)
	ping := func(b *testing.B, c net.Conn, err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		one := []byte{1}
		if _, err := c.Write(one); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, one); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			c, err := net.Dial("tcp4", target)
			ping(b, c, err)
		}
	})
	b.Run("transparent", func(b *testing.B) {
		for b.Loop() {
			c, err := s.Connect(b.Context(), made)
			ping(b, c, err)
		}
	})
	b.Run("CONNECT", func(b *testing.B) {
		for b.Loop() {
			c, err := net.Dial("tcp4", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			io.WriteString(c, "CONNECT allowed.test:25 HTTP/1.1\r\nHost: x\r\n\r\n")
			r := bufio.NewReaderSize(c, 64)
			if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
				b.Fatal(line, err)
			}
			r.ReadString('\n')
			ping(b, c, nil)
		}
	})
	b.Run("SOCKS5", func(b *testing.B) {
		reply := make([]byte, 12)
		for b.Loop() {
			c, err := net.Dial("tcp4", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			c.Write([]byte("\x05\x01\x00\x05\x01\x00\x03\x0callowed.test\x00\x19"))
			if _, err := io.ReadFull(c, reply); err != nil {
				b.Fatal(err)
			}
			ping(b, c, nil)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	p, err := Parse("allowed.test", "*.wild.test")
	if err != nil {
		b.Fatal(err)
	}
	s, err := NewServer(Config{Policy: p, Limits: Limits{Queries: 1 << 30}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	query := question("a.wild.test.", dnsmessage.TypeA)
	b.ReportAllocs()
	for b.Loop() {
		if s.answer(query) == nil {
			b.Fatal("no answer")
		}
	}
}

func BenchmarkReadHello(b *testing.B) {
	hello := string(clientHello(b, "allowed.test"))
	b.ReportAllocs()
	for b.Loop() {
		if name, _, err := readHello(strings.NewReader(hello)); err != nil || name != "allowed.test" {
			b.Fatal(name, err)
		}
	}
}

func BenchmarkAllows(b *testing.B) {
	p, err := Parse("allowed.test", "*.wild.test")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !p.Allows("a.b.wild.test", 443) {
			b.Fatal("refused")
		}
	}
}
