package stdio_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
)

// world is what a confined server sees of the internet: one web server under every name,
// and the certificate that it has.
func world(tb testing.TB) (egress.Config, []byte) {
	tb.Helper()
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %s", r.Host)
	}))
	tb.Cleanup(web.Close)
	web.Config.ErrorLog = nil
	return egress.Config{
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("93.184.215.14")}, nil
		},
		Dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", web.Listener.Addr().String())
		},
	}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
}

func TestEgressByName(t *testing.T) {
	if asuser.Again(t) {
		return
	}
	config, certificate := world(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, certificate, 0o644))
	for name, proxied := range map[string]bool{"by the proxy": true, "by a program that knows no proxy": false} {
		t.Run(name, func(t *testing.T) {
			l, told := confined(t, python(t), "/usr/bin/python3", "-u", "server.py")
			l.Profile.System, l.Profile.Egress, l.Profile.Read, l.Egress = true, []string{"example.com"}, []string{ca}, config
			l.Env, l.UnsafeEnv = []string{"SSL_CERT_FILE=" + ca}, []string{"SSL_CERT_FILE"} // the certificate of the test's own server
			if !proxied {
				l.Env = append(l.Env, "HTTPS_PROXY=", "https_proxy=")
				l.UnsafeEnv = append(l.UnsafeEnv, "HTTPS_PROXY", "https_proxy")
			}
			s := session(t, l)
			strictly(t, l)
			if got := call(t, s, "fetch", map[string]any{"url": "https://example.com/"}); got != "hello from example.com" {
				t.Errorf("%s", got)
			}
			for _, url := range []string{"https://evil.example/", "https://169.254.169.254/latest/meta-data", "https://93.184.215.14/", "https://localhost/"} {
				if got := tried(t, s, "fetch", map[string]any{"url": url}); !strings.Contains(got, "Error") {
					t.Errorf("%s: %s", url, got)
				}
			}
			must(t, s.Close())
			allowed, denied := 0, 0
			for _, e := range told.of(stdio.Network) {
				if e.Egress.Allowed {
					allowed++
				} else {
					denied++
				}
			}
			if allowed == 0 || denied == 0 {
				t.Errorf("%d allowed, %d denied: %v", allowed, denied, told.list)
			}
		})
	}
}
