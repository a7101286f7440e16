package site

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
)

// RotateServer replaces the server's certificate and key.
func (s *Site) RotateServer(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files.pair(tb, "server", serverOf(tb, s.authority))
	must(tb, s.pair.Reload())
}

// RotateAuthority puts a new authority in the place of the newest. The first one, which has
// certified the clients that are connected, stays trusted.
func (s *Site) RotateAuthority(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authority = newAuthority(tb)
	s.roots = x509.NewCertPool()
	s.roots.AddCert(s.first.Cert)
	s.roots.AddCert(s.authority.Cert)
	s.files.bundle(tb, s.first, s.authority)
	must(tb, s.bundle.Reload())
}

// Forsake ends the trust in the first authority.
func (s *Site) Forsake(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files.bundle(tb, s.authority)
	must(tb, s.bundle.Reload())
}

// Deny revokes the certificates with the serial numbers, and no others.
func (s *Site) Deny(tb testing.TB, certificates ...*x509.Certificate) {
	tb.Helper()
	var b strings.Builder
	b.WriteString("# revoked\n")
	for _, c := range certificates {
		fmt.Fprintf(&b, "serial:%x\n", c.SerialNumber)
	}
	testpki.Write(tb, s.files.path("denied"), []byte(b.String()))
	if s.denied != nil {
		must(tb, s.denied.Reload())
	}
}

// Log keeps what the listener says.
type Log struct {
	mu    sync.Mutex
	lines []string
}

// Enabled implements slog.Handler.
func (l *Log) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l *Log) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

// WithAttrs implements slog.Handler.
func (l *Log) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *Log) WithGroup(string) slog.Handler { return l }

// String returns all lines.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}
