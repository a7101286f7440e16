package clients

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A forwarder is for clients that speak neither TLS nor tokens: it takes plain HTTP/1.1 on
// the loopback and passes every byte on as alice. It adds her token, and where a client
// names the forwarder it names the site; every other header, however wrong, stays as it is.
type forwarder struct {
	site *site
	own  string // as clients call it
	mu   sync.Mutex
	open map[net.Conn]bool
}

// forward returns the address of a new forwarder.
func (s *site) forward(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f := &forwarder{site: s, own: ln.Addr().String(), open: make(map[net.Conn]bool)}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { f.serve(c) })
		}
	})
	tb.Cleanup(func() {
		_ = ln.Close()
		f.mu.Lock()
		for c := range f.open {
			_ = c.Close()
		}
		f.open = nil
		f.mu.Unlock()
		all.Wait()
	})
	return "http://" + f.own
}

// hold notes a connection, so that the end of the test ends it.
func (f *forwarder) hold(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		return false
	}
	f.open[c] = true
	return true
}

func (f *forwarder) serve(near net.Conn) {
	defer near.Close()
	config := f.site.TLS.Clone()
	config.NextProtos = []string{"http/1.1"}
	far, err := tls.Dial("tcp", f.site.Addr, config)
	if err != nil {
		return
	}
	defer far.Close()
	if !f.hold(near) || !f.hold(far) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(near, far)
		_ = near.Close() // the reader below must end
	}()
	in := bufio.NewReader(near)
	for err == nil {
		err = f.request(in, far)
	}
	_ = far.Close()
	<-done
}

// request passes one request on.
func (f *forwarder) request(in *bufio.Reader, out io.Writer) error {
	head, size, err := f.head(in)
	if err != nil {
		return err
	}
	if _, err := out.Write(head); err != nil {
		return err
	}
	if size >= 0 {
		_, err := io.CopyN(out, in, size)
		return err
	}
	for { // chunks
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(line), 16, 64)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, n+2); err != nil || n == 0 {
			return err
		}
	}
}

// head reads the head of a request, and returns what to pass on and the length of the body,
// which is negative for one in chunks.
func (f *forwarder) head(in *bufio.Reader) (head []byte, size int64, err error) {
	var b bytes.Buffer
	for first := true; ; first = false {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, 0, err
		}
		if b.Len() > 1<<20 {
			return nil, 0, errors.New("too large")
		}
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "content-length":
			if size, err = strconv.ParseInt(strings.TrimSpace(value), 10, 64); err != nil {
				return nil, 0, err
			}
		case "transfer-encoding":
			size = -1
		case "host", "origin":
			line = name + ":" + f.named(value)
		}
		b.WriteString(line)
		if first && f.site.Token != "" {
			b.WriteString("Authorization: Bearer " + f.site.Token + "\r\n")
		}
		if line == "\r\n" || line == "\n" {
			return b.Bytes(), size, nil
		}
	}
}

// named replaces the forwarder's name by that of the site.
func (f *forwarder) named(value string) string {
	_, port, _ := net.SplitHostPort(f.own)
	for _, own := range []string{"127.0.0.1:" + port, "localhost:" + port} {
		value = strings.ReplaceAll(value, "http://"+own, f.site.URL)
		value = strings.ReplaceAll(value, own, f.site.Addr)
	}
	return value
}
