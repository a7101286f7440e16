package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
)

const canary = "hunter2-canary-b3f8"

func wantError(t *testing.T, what string, err error, parts ...string) {
	t.Helper()
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "hunter2") {
		t.Errorf("%s: a secret is in the error: %s", what, text)
	}
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %v, want an error with %q", what, err, part)
		}
	}
}

// serve serves h over plain HTTP on the loopback and returns a client of it.
func serve(t *testing.T, h http.HandlerFunc, change ...func(*Config)) *Client {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	conf := Config{URL: ts.URL, InsecureLoopback: true}
	for _, c := range change {
		c(&conf)
	}
	return newClient(t, conf)
}

func newClient(t *testing.T, conf Config) *Client {
	t.Helper()
	c, err := New(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func reply(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(body))
	}
}

type answerBody struct {
	Token Secret `json:"token"`
	N     int    `json:"n"`
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for fault, address := range map[string]string{
		"plain http": "http://vault.internal", "plain http to a name": "http://localhost:1", "plain http elsewhere": "http://10.0.0.1",
		"another scheme": "ftp://127.0.0.1", "no scheme": "vault.internal:8200", "no host": "https:///x", "no host but a port": "https://:443",
		"password": "https://u:" + canary + "@h", "query": "https://h/?x=" + canary, "empty query": "https://h/?", "fragment": "https://h/#" + canary,
		"escaped slash": "https://h/a%2fb", "control character": "https://h/\x00" + canary, "nothing": "", "unix socket": "unix:///run/x",
	} {
		_, err := New(Config{URL: address, InsecureLoopback: true})
		if wantError(t, fault, err); err == nil {
			t.Errorf("%s: accepted", fault)
		}
	}
	for address, want := range map[string]string{
		"https://H.example/": "https://h.example:443", "https://h:8200/v": "https://h:8200", "http://127.0.0.1:1": "http://127.0.0.1:1", "http://[::1]": "http://[::1]:80",
	} {
		if c := newClient(t, Config{URL: address, InsecureLoopback: true}); c.Origin() != want {
			t.Errorf("%s: %s", address, c.Origin())
		}
	}
	if _, err := New(Config{URL: "http://127.0.0.1"}); err == nil {
		t.Error("plain http without saying so")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	start := func(version uint16) *httptest.Server {
		ts := httptest.NewUnstartedServer(reply("application/json", `{"n":1}`))
		ts.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		ts.Config.ErrorLog = log.New(io.Discard, "", 0)
		ts.StartTLS()
		t.Cleanup(ts.Close)
		return ts
	}
	for version, ok := range map[uint16]bool{tls.VersionTLS13: true, tls.VersionTLS12: true, tls.VersionTLS11: false} {
		ts := start(version)
		roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ts.Certificate().Raw})
		var got answerBody
		err := newClient(t, Config{URL: ts.URL, Roots: roots}).Do(t.Context(), Request{Method: http.MethodGet}, &got)
		if (err == nil) != ok || ok && got.N != 1 {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	ts := start(tls.VersionTLS13)
	err := newClient(t, Config{URL: ts.URL}).Do(t.Context(), Request{Method: http.MethodGet}, nil)
	wantError(t, "unknown authority", err, "certificate")
	if _, err := New(Config{URL: ts.URL, Roots: []byte("x")}); err == nil {
		t.Error("roots that are none")
	}
	other := serve(t, reply("application/json", "{}"))
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ts.Certificate().Raw})
	err = newClient(t, Config{URL: strings.Replace(other.Origin(), "http:", "https:", 1), Roots: roots}).Do(t.Context(), Request{Method: http.MethodGet}, nil)
	wantError(t, "no TLS", err, "does not speak TLS")
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var form url.Values
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got, form = r, r.PostForm
		reply("application/json; charset=utf-8", `{"n":7,"token":"a","unknown":{"x":[1]}}`)(w, r)
	}, func(c *Config) { c.URL += "/base/" })
	var answer answerBody
	err := c.Do(t.Context(), Request{Method: http.MethodPost, Path: "/a b/c:d", Query: url.Values{"q": {"1"}}, Form: url.Values{"f": {"ü&"}}, Header: http.Header{"x-one": {"1"}}}, &answer)
	if err != nil || got.URL.Path != "/base/a b/c:d" || got.URL.RawQuery != "q=1" || form.Get("f") != "ü&" || got.Header.Get("X-One") != "1" ||
		got.Header.Get("Accept-Encoding") != "" || answer.N != 7 || string(answer.Token) != "a" {
		t.Errorf("%+v, %v, %+v, %v", got.URL, form, answer, err)
	}
	for _, path := range []string{"x", "/../x", "/a/../../x", "/a//b", "/a/", "/a\x00", "/a\r\nHost: x", `/a\b`} {
		if err := c.Do(t.Context(), Request{Method: http.MethodGet, Path: path}, nil); err == nil {
			t.Errorf("%q: sent", path)
		}
	}
	err = c.Do(t.Context(), Request{Method: "B AD", Query: url.Values{"q": {canary}}}, nil)
	wantError(t, "bad method", err, "cannot be made")
	err = c.Do(t.Context(), Request{Method: http.MethodPost, JSON: func() string { return canary }}, nil)
	wantError(t, "cannot be encoded", err, "cannot be encoded")
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	t.Cleanup(thief.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", thief.URL+"/"+canary+"?"+canary)
			w.WriteHeader(status)
		})
		err := c.Do(t.Context(), Request{Method: http.MethodPost, Form: url.Values{"secret": {canary}}}, nil)
		wantError(t, "redirect", err, fmt.Sprintf("HTTP %d", status))
		if e, _ := errors.AsType[*Error](err); e == nil || e.To != thief.URL {
			t.Errorf("%+v", e)
		}
	}
	if stolen.Load() != 0 {
		t.Error("followed")
	}
}

// A proxy from the environment would see every token. The transport is looked at,
// because the standard library reads the environment once and never for loopback.
func TestNoProxy(t *testing.T) {
	t.Parallel()
	c := newClient(t, Config{URL: "https://vault.internal"})
	if c.http.Transport.(*http.Transport).Proxy != nil {
		t.Error("a proxy is asked for")
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fault   string
		handler http.HandlerFunc
		want    string
	}{
		{"HTML", reply("text/html", "<html>"+canary), "not JSON"},
		{"no type", reply("", canary), "not JSON"},
		{"type that only begins so", reply("application/jsonx", `{"n":1}`), "not JSON"},
		{"JSON sequence", reply("application/json-seq", `{"n":1}`), "not JSON"},
		{"empty", reply("application/json", ""), "empty"},
		{"white space", reply("application/json", " \n"), "empty"},
		{"garbage", reply("application/json", canary), "cannot be used"},
		{"array", reply("application/json", `["`+canary+`"]`), "not an object"},
		{"null", reply("application/json", `null`), "not an object"},
		{"name twice", reply("application/json", `{"n":1,"n":2}`), "cannot be used"},
		{"name twice where it is unknown", reply("application/json", `{"x":{"`+canary+`":1,"`+canary+`":2}}`), "cannot be used"},
		{"wrong type", reply("application/json", `{"n":"`+canary+`"}`), "wrong type"},
		{"secret is a number", reply("application/json", `{"token":5}`), "wrong type"},
		{"deep", reply("application/json", strings.Repeat(`{"a":`, 1000)), "cannot be used"},
		{"data behind it", reply("application/json", `{"n":1}`+canary), "cannot be used"},
		{"too large", reply("application/json", `{"x":"`+strings.Repeat("x", MaxBody)+`"}`), "larger than"},
		{"compressed", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			reply("application/json", `{"n":1}`)(w, r)
		}, "not JSON"},
		{"cut short", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			reply("application/json", `{"token":"`+canary)(w, r)
		}, "closed the connection"},
		{"no HTTP", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = conn.Write([]byte("220 " + canary + " ready\r\n\r\n"))
			_ = conn.Close()
		}, "not HTTP"},
		{"broken header", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n"))
			_ = conn.Close()
		}, "not HTTP"},
		{"endless header", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
			reply("application/json", `{"n":1}`)(w, r)
		}, "not HTTP"},
		{"nothing", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		}, "closed the connection"},
	}
	for _, test := range tests {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			var got answerBody
			err := serve(t, test.handler).Do(t.Context(), Request{Method: http.MethodGet, Path: "/p", Query: url.Values{"q": {canary}}}, &got)
			wantError(t, test.fault, err, "127.0.0.1", "/p", test.want)
		})
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	handlers := map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-hang },
		"endless body": func(w http.ResponseWriter, r *http.Request) {
			reply("application/json", "{")(w, r)
			_ = http.NewResponseController(w).Flush()
			<-hang
		},
	}
	for fault, h := range handlers {
		c := serve(t, h, func(c *Config) { c.Timeout = 50 * time.Millisecond })
		var got answerBody
		err := c.Do(t.Context(), Request{Method: http.MethodGet}, &got)
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, creds.ErrOutage) {
			t.Errorf("%s: %v", fault, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Do(ctx, Request{Method: http.MethodGet}, &got); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", fault, err)
		}
	}
	close(hang)
}

func TestNotSent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err = newClient(t, Config{URL: "http://" + address, InsecureLoopback: true}).Do(t.Context(), Request{Method: http.MethodGet}, nil)
	if !NotSent(err) {
		t.Errorf("refused: %v", err)
	}
	err = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		_ = conn.Close()
	}).Do(t.Context(), Request{Method: http.MethodPost, Form: url.Values{}}, nil)
	if err == nil || NotSent(err) {
		t.Errorf("closed: %v", err)
	}
}

func TestRefusalsAndPatience(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	var asked atomic.Int32
	var after atomic.Value
	after.Store("")
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if v, _ := after.Load().(string); v != "" {
			w.Header().Set("Retry-After", v)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"error":"invalid_client","error_description":"` + canary + `"}`))
	}, func(c *Config) { c.Now = func() time.Time { return now } })
	do := func() error { return c.Do(t.Context(), Request{Method: http.MethodGet, Code: OAuthCode}, nil) }

	err := do()
	wantError(t, "refused", err, "HTTP 429 invalid_client")
	if Status(err) != 429 || Code(err) != "invalid_client" || !errors.Is(err, creds.ErrOutage) {
		t.Errorf("%v", err)
	}
	after.Store("10")
	wantError(t, "asks to wait", do(), "wait 10s")
	wantError(t, "waits", do(), "wait 10s")
	now = now.Add(4 * time.Second)
	wantError(t, "waits", do(), "wait 6s")
	if asked.Load() != 2 {
		t.Errorf("asked %d times", asked.Load())
	}
	now = now.Add(6 * time.Second)
	after.Store("999999999")
	wantError(t, "absurd", do(), "wait 1m0s")
	now = now.Add(-time.Hour) // a clock that is set back holds nobody up
	after.Store(now.Add(5 * time.Second).Format(http.TimeFormat))
	wantError(t, "a date", do(), "wait 5s")
	if asked.Load() != 4 {
		t.Errorf("asked %d times", asked.Load())
	}
	now = now.Add(time.Hour)
	after.Store("10")
	for range 2 { // what one caller brought on himself holds up nobody else
		before := asked.Load()
		err := c.Do(t.Context(), Request{Method: http.MethodGet, PerCaller: true}, nil)
		if Status(err) != 429 || errors.Is(err, creds.ErrOutage) || asked.Load() != before+1 {
			t.Errorf("per caller: %v", err)
		}
	}
	for text, want := range map[string]time.Duration{"": 0, "-1": 0, "x": 0, "99999999999999999999": 0, "1.5": 0, "0": 0, "3": 3 * time.Second} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for _, status := range []int{400, 401, 403, 404, 500} {
		if errors.Is(&Error{Status: status}, creds.ErrOutage) {
			t.Errorf("%d is an outage", status)
		}
	}
}

func TestSecretIsKeptAndHidden(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{`"` + canary + `"`: canary, `"a\u0062\n"`: "ab\n", `null`: "", `""`: ""} {
		var s Secret
		if err := s.UnmarshalJSON([]byte(text)); err != nil || string(s) != want {
			t.Errorf("%s: %q, %v", text, []byte(s), err)
		}
		if out := fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s); strings.Contains(out, "hunter2") || strings.Contains(out, "104") {
			t.Error(out)
		}
	}
	raw := []byte(canary)
	if v := Secret(raw).Value(); string(v.Reveal()) != canary || !bytes.Equal(raw, make([]byte, len(raw))) {
		t.Errorf("%q was not overwritten", raw)
	}
	for _, text := range []string{`1`, `"`, ``, `{}`} {
		var s Secret
		if err := s.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%q: %q", text, []byte(s))
		}
	}
}

func TestFingerprintKeepsPartsApart(t *testing.T) {
	t.Parallel()
	if once, again := Fingerprint("a"), Fingerprint("a"); once != again {
		t.Error("it is not the same twice")
	}
	if Fingerprint("ab", "c") == Fingerprint("a", "bc") || Fingerprint("a") == Fingerprint("a", "") {
		t.Error("parts run into each other")
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	asked := time.Unix(1000, 0)
	n := func(i int64) *int64 { return &i }
	for _, bad := range []*int64{nil, n(0), n(-1), n(86401), n(1 << 62)} {
		if at, err := Expiry(asked, bad, time.Hour); err == nil {
			t.Errorf("%v", at)
		}
	}
	for s, want := range map[int64]int64{1: 1001, 3600: 4600, 86400: 4600} {
		if at, err := Expiry(asked, n(s), time.Hour); err != nil || at.Unix() != want {
			t.Errorf("%d: %v, %v", s, at, err)
		}
	}
}

// FuzzDecode compares with encoding/json: what is accepted is read alike.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"token":"a","n":1}`, `{"token":"\u0061","x":[{}]}`, `{"Token":"a"}`, `{"n":1e1}`, ` {} `, `{"token":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got answerBody
		_ = OAuthCode(data)
		if Decode(data, &got) != nil {
			return
		}
		var want map[string]any
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", data, err)
		}
		if token, _ := want["token"].(string); token != string(got.Token) {
			t.Fatalf("%q: %q", data, []byte(got.Token))
		}
		if n, _ := want["n"].(float64); n != float64(got.N) {
			t.Fatalf("%q: %d", data, got.N)
		}
	})
}
