package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
)

// A pebble is Let's Encrypt's own authority for tests.
type pebble struct {
	directory, management string
	api                   *testpki.Authority
}

// startPebble starts one that validates names at a port.
func startPebble(t *testing.T, port int, life time.Duration) *pebble {
	t.Helper()
	path := oracle.Path(t, "pebble")
	dir := t.TempDir()
	p := &pebble{api: testpki.New(t, "api")}
	cert, key := testpki.WritePair(t, dir, p.api.Issue(t, "127.0.0.1"))
	listen, management := "127.0.0.1:"+oracle.Port(t), "127.0.0.1:"+oracle.Port(t)
	p.directory, p.management = "https://"+listen+"/dir", "https://"+management
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management, "certificate": cert, "privateKey": key,
		"httpPort": port, "tlsPort": port,
		"profiles": map[string]any{"default": map[string]any{"description": "test", "validityPeriod": int(life.Seconds())}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "-strict", "-config", testpki.Write(t, filepath.Join(dir, "config.json"), config))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=20")
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, err := p.get(p.directory); err == nil {
			return p
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func (p *pebble) get(url string) ([]byte, error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.api.Pool(), MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}

// serve answers handshakes as the listener of package https does.
func serve(t *testing.T, l net.Listener, s *Source) {
	t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		get := s.Certificate
		if slices.Equal(hello.SupportedProtos, []string{pki.ACMETLS1}) {
			get = s.Challenge
		}
		return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", pki.ACMETLS1}, GetCertificate: get}, nil
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_ = tls.Server(conn, config).Handshake()
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

func watch(t *testing.T, s *Source) (changes chan struct{}, faults chan error) {
	t.Helper()
	changes, faults = make(chan struct{}, 100), make(chan error, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, func() { changes <- struct{}{} }, func(err error) { faults <- err }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		_ = s.Close()
	})
	return changes, faults
}

func TestCertificateFromAnAuthority(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := startPebble(t, l.Addr().(*net.TCPAddr).Port, time.Hour)
	c := Config{Domains: []string{"localhost"}, Folder: filepath.Join(t.TempDir(), "acme"), Agreed: true, Directory: p.directory, Roots: p.api.Pool(), Email: "admin@mcp.example.org"}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, s)
	if _, err := s.Certificate(nil); err == nil || !strings.Contains(err.Error(), "no certificate of localhost yet") {
		t.Errorf("got %v", err)
	}
	changes, faults := watch(t, s)
	select {
	case <-changes:
	case err := <-faults:
		t.Fatal(err)
	case <-time.After(60 * time.Second):
		t.Fatal("no certificate")
	}
	cert, err := s.Certificate(&tls.ClientHelloInfo{ServerName: "LocalHost"})
	if err != nil {
		t.Fatal(err)
	}
	root, err := p.get(p.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	for _, der := range cert.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		between.AddCert(c)
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: "localhost"}); err != nil {
		t.Error(err)
	}
	if proof, err := s.Challenge(&tls.ClientHelloInfo{ServerName: "localhost"}); proof != nil || err != nil {
		t.Errorf("the challenge is still answered: %v", err)
	}
	if runtime.GOOS != "windows" {
		err = filepath.WalkDir(c.Folder, func(path string, d fs.DirEntry, err error) error {
			info, _ := d.Info()
			if info != nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	// The next start shows it at once, without the authority.
	again, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if kept, err := again.Certificate(nil); err != nil || !kept.Leaf.Equal(cert.Leaf) {
		t.Errorf("%v", err)
	}
	// In the last third of its life it is renewed.
	if err := s.renew(t.Context(), "localhost", true); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changes:
	case <-time.After(60 * time.Second):
		t.Fatal("not renewed")
	}
	if next, err := s.Certificate(nil); err != nil || next.Leaf.Equal(cert.Leaf) {
		t.Errorf("the first certificate is still shown: %v", err)
	}
}

// An authority that is away is told of once, and asked again.
func TestAuthorityIsAway(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Domains: []string{"localhost"}, Folder: filepath.Join(t.TempDir(), "a"), Agreed: true, Directory: "https://127.0.0.1:" + oracle.Port(t) + "/dir"})
	if err != nil {
		t.Fatal(err)
	}
	_, faults := watch(t, s)
	select {
	case err := <-faults:
		if !strings.Contains(err.Error(), "localhost") {
			t.Error(err)
		}
	case <-time.After(60 * time.Second):
		t.Error("nothing was told")
	}
}

func TestConfigIsRefused(t *testing.T) {
	t.Parallel()
	good := Config{Domains: []string{"a.example"}, Folder: filepath.Join(t.TempDir(), "a"), Agreed: true}
	for want, change := range map[string]func(*Config){
		"Agreed":            func(c *Config) { c.Agreed = false },
		"Folder":            func(c *Config) { c.Folder = "" },
		"0 names":           func(c *Config) { c.Domains = nil },
		"no IP address":     func(c *Config) { c.Domains = []string{"192.0.2.1"} },
		"no wildcards":      func(c *Config) { c.Domains = []string{"*.example.com"} },
		"ports and schemes": func(c *Config) { c.Domains = []string{"https://a.example"} },
		"https URL":         func(c *Config) { c.Directory = "http://acme.example/dir" },
	} {
		c := good
		change(&c)
		if s, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
			_ = s.Close()
		}
	}
	if runtime.GOOS != "windows" {
		shared := t.TempDir()
		if err := os.Chmod(shared, 0o755); err != nil {
			t.Fatal(err)
		}
		good.Folder = shared
		if _, err := New(good); err == nil || !strings.Contains(err.Error(), "its group or others") {
			t.Errorf("a folder of others: %v", err)
		}
	}
}
