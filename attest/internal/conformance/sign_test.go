package conformance

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/sigstore"
)

func token(text string) sigstore.Token {
	return func(context.Context) (string, error) { return text, nil }
}

// TestSignEndToEnd signs with the services of a Sigstore over HTTP and verifies what
// comes of it with each verifier.
func TestSignEndToEnd(t *testing.T) {
	t.Parallel()
	for name, services := range map[string]func(url string) sigstore.Services{
		"Rekor v2": func(u string) sigstore.Services {
			return sigstore.Services{Fulcio: u, RekorV2: []string{u}, Timestamps: []string{u + "/api/v1/timestamp"}}
		},
		"Rekor v1": func(u string) sigstore.Services { return sigstore.Services{Fulcio: u, RekorV1: []string{u}} },
		"both": func(u string) sigstore.Services {
			return sigstore.Services{Fulcio: u + "/", RekorV1: []string{u}, RekorV2: []string{u + "/"}, Timestamps: []string{u + "/api/v1/timestamp"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New(t)
			good := l.Token(subject, issuer, time.Now().Add(time.Minute))
			path := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(path, []byte(good+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := sigstore.Sign(services(l.Serve().URL), sigstore.TokenFile(path))
			if err != nil {
				t.Fatal(err)
			}
			line, err := s.Sign(t.Context(), envelope.PayloadType, statement(t))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(line), "\n") {
				t.Error("the bundle is not one line")
			}
			for i, err := range judge(t, line, sigstore.TrustedRoot(l.Root()), trustBuilder) {
				if err != nil {
					t.Errorf("%s: %v", names[i], err)
				}
			}
			for i, err := range judge(t, line, sigstore.TrustedRoot(New(t).Root()), trustBuilder) {
				if err == nil {
					t.Errorf("%s: trusted under the root of another Sigstore", names[i])
				}
			}
		})
	}
}

func TestSignFails(t *testing.T) {
	t.Parallel()
	l := New(t)
	lab := l.Serve().URL
	good := l.Token(subject, issuer, time.Now().Add(time.Minute))
	answer := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body + r.Header.Get("Authorization")))
		})
	}
	for name, c := range map[string]struct {
		handler http.Handler // nil means the lab's
		token   sigstore.Token
		why     string
	}{
		"token has expired":          {nil, token(l.Token(subject, issuer, time.Now().Add(-time.Minute))), "the token has expired"},
		"token of another issuer":    {nil, token(good[:len(good)-8] + "AAAAAAAA"), "not the issuer's"},
		"token is none":              {nil, token("secret"), "not a JSON web token"},
		"token cannot be had":        {nil, func(context.Context) (string, error) { return "", errors.New("no metadata server") }, "no metadata server"},
		"token file is missing":      {nil, sigstore.TokenFile(filepath.Join(t.TempDir(), "none")), "no such file"},
		"authority shows the token":  {answer(http.StatusForbidden, "denied "), token(good), "denied Bearer [token]"},
		"authority answers nonsense": {answer(http.StatusOK, `{"signedCertificateEmbeddedSct":{"chain":{"certificates":["x"]}}}`), token(good), "after top-level value"},
		"authority answers no end":   {answer(http.StatusOK, strings.Repeat(" ", 6<<20)), token(good), "unexpected end"},
		"authority fails":            {answer(http.StatusServiceUnavailable, ""), token(good), "503 Service Unavailable"},
		"authority leaves TLS":       {http.RedirectHandler("http://192.0.2.1/", http.StatusTemporaryRedirect), token(good), "leave TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := lab
			if c.handler != nil {
				s := httptest.NewServer(c.handler)
				t.Cleanup(s.Close)
				url = s.URL
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s, err := sigstore.Sign(sigstore.Services{Fulcio: url, RekorV1: []string{url}}, c.token)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Sign(ctx, envelope.PayloadType, statement(t))
			if err == nil {
				t.Fatal("signed")
			}
			t.Log(err)
			if !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), good) || len(err.Error()) > 2048 {
				t.Errorf("says %.3000s", err)
			}
		})
	}
	t.Run("nothing or too much to sign", func(t *testing.T) {
		t.Parallel()
		s, err := sigstore.Sign(sigstore.Services{Fulcio: lab, RekorV1: []string{lab}}, token(good))
		if err != nil {
			t.Fatal(err)
		}
		for _, payload := range [][]byte{nil, make([]byte, envelope.MaxBundle)} {
			if _, err := s.Sign(t.Context(), envelope.PayloadType, payload); err == nil {
				t.Errorf("%d bytes signed", len(payload))
			}
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		entered := make(chan struct{})
		srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the client is gone
			close(entered)
			<-r.Context().Done()
		}))
		t.Cleanup(srv.Close)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-entered
			cancel()
		}()
		s, err := sigstore.Sign(sigstore.Services{Fulcio: srv.URL, RekorV1: []string{srv.URL}}, token(good))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sign(ctx, envelope.PayloadType, statement(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
