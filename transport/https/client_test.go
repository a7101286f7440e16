package https

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// far is a server of TLS that a client is tested with. Its handler may be anything.
type far struct {
	root *testpki.Authority
	at   string // host and port
	url  string

	mu   sync.Mutex
	seen []http.Header
	with []*x509.Certificate // leaves of clients
}

// serveFar serves a handler; edit may make the listener worse.
func serveFar(t *testing.T, root *testpki.Authority, h http.Handler, edit func(*tls.Config)) *far {
	t.Helper()
	f := &far{root: root}
	c := &tls.Config{Certificates: []tls.Certificate{*root.Issue(t, "127.0.0.1", "localhost")}, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"}}
	if edit != nil {
		edit(c)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		TLSConfig: c, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			f.seen = append(f.seen, r.Header.Clone())
			if len(r.TLS.PeerCertificates) > 0 {
				f.with = append(f.with, r.TLS.PeerCertificates[0])
			}
			f.mu.Unlock()
			h.ServeHTTP(w, r)
		}),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	f.at = l.Addr().String()
	f.url = "https://" + f.at + "/mcp"
	return f
}

func (f *far) requests() []http.Header { f.mu.Lock(); defer f.mu.Unlock(); return f.seen }
func (f *far) lastLeaf() *x509.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.with) == 0 {
		return nil
	}
	return f.with[len(f.with)-1]
}

func echoServer() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "far", Version: "1"}, &mcp.ServerOptions{Logger: slog.New(slog.DiscardHandler)})
	mcp.AddTool(s, &mcp.Tool{Name: "echo"}, func(_ context.Context, _ *mcp.CallToolRequest, in struct{ Text string }) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: in.Text}}}, nil, nil
	})
	return s
}

func newTestClient(t *testing.T, conf ClientConfig) *Client {
	t.Helper()
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
	}
	c, err := NewClient(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func connect(ctx context.Context, transport mcp.Transport, version string) (*mcp.ClientSession, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "near", Version: "1"}, &mcp.ClientOptions{Logger: slog.New(slog.DiscardHandler)})
	return client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
}

func TestClientSpeaksEveryTransport(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	server := echoServer()
	get := func(*http.Request) *mcp.Server { return server }
	stateless := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{Stateless: true})
	for name, test := range map[string]struct {
		handler http.Handler
		version string
		sse     bool
	}{
		"current":  {stateless, "2026-07-28", false},
		"sessions": {mcp.NewStreamableHTTPHandler(get, nil), "2025-11-25", false},
		"JSON":     {mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{JSONResponse: true}), "2025-11-25", false},
		"HTTP+SSE": {mcp.NewSSEHandler(get, nil), "2025-11-25", true},
		"HTTP/1.1": {stateless, "2026-07-28", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serveFar(t, root, test.handler, func(c *tls.Config) {
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, root.Pool()
				if name == "HTTP/1.1" {
					c.NextProtos = nil
				}
			})
			c := newTestClient(t, ClientConfig{
				CAs: trusting(root.Pool()), Certificate: shown{cert: root.Issue(t, "spiffe://example.org/agent")},
				Token: func(context.Context) (string, error) { return "tok.en-_~+/=", nil },
			})
			transport := c.Transport(f.url)
			if test.sse {
				transport = c.SSETransport(f.url)
			}
			session, err := connect(t.Context(), transport, test.version)
			if err != nil {
				t.Fatal(err)
			}
			res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"Text": "hello"}})
			if err != nil || res.Content[0].(*mcp.TextContent).Text != "hello" {
				t.Fatalf("%v, %v", res, err)
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
			for _, h := range f.requests() {
				if h.Get("Authorization") != "Bearer tok.en-_~+/=" {
					t.Errorf("a request with %q", h["Authorization"])
				}
			}
		})
	}
}

func TestServersThatAreNotTrusted(t *testing.T) {
	t.Parallel()
	root, other := testpki.New(t, "root"), testpki.New(t, "root")
	with := func(a *testpki.Authority, change func(*x509.Certificate)) func(*tls.Config) {
		leaf := testpki.Leaf(t, "127.0.0.1")
		change(leaf)
		cert := a.Sign(t, leaf, testpki.Key(t))
		return func(c *tls.Config) { c.Certificates = []tls.Certificate{*cert} }
	}
	same := func(*x509.Certificate) {}
	names, err := pki.Names("spiffe://example.org/server")
	if err != nil {
		t.Fatal(err)
	}
	id := testpki.Leaf(t, "spiffe://example.org/server").URIs
	for name, test := range map[string]struct {
		edit func(*tls.Config)
		conf ClientConfig
		want string
	}{
		"good":                       {with(root, same), ClientConfig{}, ""},
		"namesake of the authority":  {with(other, same), ClientConfig{}, "authority"},
		"system roots":               {with(root, same), ClientConfig{SystemRoots: true}, "authority"},
		"TLS 1.2":                    {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ClientConfig{}, "version"},
		"another host":               {with(root, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }), ClientConfig{}, "127.0.0.2"},
		"common name":                {with(root, func(c *x509.Certificate) { c.IPAddresses, c.Subject.CommonName = nil, "127.0.0.1" }), ClientConfig{}, "SANs"},
		"expired":                    {with(root, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), ClientConfig{}, "expired"},
		"for clients":                {with(root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), ClientConfig{}, "usage"},
		"for anything":               {with(root, func(c *x509.Certificate) { c.ExtKeyUsage = nil }), ClientConfig{}, "lacks serverAuth"},
		"an authority":               {with(root, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), ClientConfig{}, "that of an authority"},
		"another name":               {with(root, same), ClientConfig{Server: names}, "not among the names"},
		"its name":                   {with(root, func(c *x509.Certificate) { c.URIs = id }), ClientConfig{Server: names}, ""},
		"SPIFFE ID in place of host": {with(root, func(c *x509.Certificate) { c.URIs, c.IPAddresses = id, nil }), ClientConfig{Server: names, SPIFFE: true}, ""},
		"SPIFFE ID of a namesake":    {with(other, func(c *x509.Certificate) { c.URIs, c.IPAddresses = id, nil }), ClientConfig{Server: names, SPIFFE: true}, "authority"},
		"another SPIFFE ID":          {with(root, func(c *x509.Certificate) { c.URIs = testpki.Leaf(t, "spiffe://example.org/x").URIs }), ClientConfig{Server: names, SPIFFE: true}, "not among the names"},
		"no SPIFFE ID":               {with(root, same), ClientConfig{Server: names, SPIFFE: true}, "no SPIFFE ID"},
		"no authorities":             {with(root, same), ClientConfig{CAs: trusting(nil)}, "no authorities"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serveFar(t, root, http.NotFoundHandler(), test.edit)
			if test.conf.CAs == nil && !test.conf.SystemRoots {
				test.conf.CAs = trusting(root.Pool())
			}
			test.conf.Token = func(context.Context) (string, error) { return "secret", nil }
			h, err := newTestClient(t, test.conf).HTTP(f.url)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := h.Get(f.url)
			if err == nil {
				_ = resp.Body.Close()
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && len(f.requests()) > 0 {
				t.Error("the token was sent")
			}
		})
	}
}

func TestClientConfigIsRefused(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	for _, conf := range []ClientConfig{
		{},
		{CAs: trusting(root.Pool()), SystemRoots: true},
		{CAs: trusting(root.Pool()), SPIFFE: true},
		{SystemRoots: true, SPIFFE: true, Server: &judged{}},
	} {
		if _, err := NewClient(conf); err == nil {
			t.Errorf("%+v is taken", conf)
		}
	}
	c := newTestClient(t, ClientConfig{CAs: trusting(root.Pool())})
	for _, url := range []string{
		"http://localhost/mcp", "localhost", "https:///mcp", "https://user:secret@host/mcp", "https://host/mcp#x", "https://host/mcp?access_token=secret",
		"https://host/mcp?Token=secret", "https://ho st/secret", "", "file:///secret",
	} {
		for _, transport := range []mcp.Transport{c.Transport(url), c.SSETransport(url)} {
			if _, err := transport.Connect(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: %v", url, err)
			}
		}
	}
}

// A name of others leads into this network; the address counts that is connected to.
func TestNameLeadsInside(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	leaf := testpki.Leaf(t, "mcp.example.com")
	f := serveFar(t, root, http.NotFoundHandler(), func(c *tls.Config) { c.Certificates = []tls.Certificate{*root.Sign(t, leaf, testpki.Key(t))} })
	for _, private := range []bool{false, true} {
		c := newTestClient(t, ClientConfig{CAs: trusting(root.Pool()), Private: private})
		c.dialer.connect = func(ctx context.Context, d *net.Dialer, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, f.at) // what a resolver would say
		}
		h, err := c.HTTP("https://mcp.example.com/mcp")
		if err != nil {
			t.Fatal(err)
		}
		resp, err := h.Get("https://mcp.example.com/mcp")
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != private || err != nil && !strings.Contains(err.Error(), "leads to the private address 127.0.0.1") {
			t.Errorf("private %v: %v", private, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{ // never, inside or public
		"93.184.216.34:443": "public", "[2606:2800:220:1::1]:443": "public", "127.0.0.1:443": "inside", "[::1]:443": "inside",
		"10.1.2.3:1": "inside", "172.31.0.1:1": "inside", "172.32.0.1:1": "public", "192.168.1.1:1": "inside", "100.64.0.1:1": "inside",
		"[fd12::1]:1": "inside", "[::ffff:10.0.0.1]:1": "inside", "[64:ff9b::10.0.0.1]:1": "inside", "[2002:a00:1::]:1": "never", "[::10.0.0.1]:1": "never",
		"169.254.169.254:80": "never", "[::ffff:169.254.169.254]:80": "never", "[64:ff9b::169.254.169.254]:80": "never", "[2002:a9fe:a9fe::]:80": "never",
		"[fd00:ec2::254]:80": "never", "[fe80::1%eth0]:1": "never", "0.0.0.0:1": "never", "[::]:1": "never", "224.0.0.1:1": "never", "[ff02::1]:1": "never",
		"255.255.255.255:1": "never", "example.com:443": "never", "": "never",
	} {
		got := "public"
		if judgeAddress(address, false) != nil {
			got = "inside"
		}
		if judgeAddress(address, true) != nil {
			got = "never"
		}
		if got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	other := serveFar(t, root, http.NotFoundHandler(), nil)
	var f *far
	f = serveFar(t, root, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/there":
			http.Redirect(w, r, "https://"+other.at+"/mcp", http.StatusTemporaryRedirect)
		case "/plain":
			http.Redirect(w, r, "http://"+f.at+"/mcp", http.StatusTemporaryRedirect)
		case "/host":
			http.Redirect(w, r, strings.Replace(f.url, "127.0.0.1", "localhost", 1), http.StatusTemporaryRedirect)
		case "/get":
			http.Redirect(w, r, "/end", http.StatusSeeOther)
		case "/again":
			http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
		case "/here":
			http.Redirect(w, r, "/end", http.StatusPermanentRedirect)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}), nil)
	c := newTestClient(t, ClientConfig{CAs: trusting(root.Pool()), Token: func(context.Context) (string, error) { return "secret", nil }})
	h, err := c.HTTP(f.url)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/there": "another origin", "/plain": "another origin", "/host": "another origin", "/get": "another method", "/again": "too often", "/here": ""} {
		resp, err := h.Post("https://"+f.at+path, "application/json", strings.NewReader("{}"))
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if _, err := h.Get(other.url); err == nil {
		t.Error("another origin is asked")
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url, http.NoBody)
	r.Host = "internal.example"
	if _, err := h.Do(r); err == nil {
		t.Error("another host is asked in its name")
	}
	if n := len(other.requests()); n != 0 {
		t.Errorf("%d requests went to another origin", n)
	}
}

// The server says where messages go to; the token does not follow.
func TestSSEEndpointElsewhere(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	other := serveFar(t, root, http.NotFoundHandler(), nil)
	f := serveFar(t, root, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: endpoint\ndata: %s\n\n", other.url)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}), nil)
	c := newTestClient(t, ClientConfig{CAs: trusting(root.Pool()), Token: func(context.Context) (string, error) { return "secret", nil }})
	if _, err := connect(t.Context(), c.SSETransport(f.url), "2025-11-25"); err == nil || !strings.Contains(err.Error(), "another origin") {
		t.Errorf("got %v", err)
	}
	if n := len(other.requests()); n != 0 {
		t.Errorf("%d requests went to another origin", n)
	}
}

func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	big := strings.Repeat("x", 70<<10)
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if kind != "" {
				w.Header().Set("Content-Type", kind)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		get     bool
		body    string // that the SDK reads
		want    string // the error
	}{
		"JSON":                            {answer(200, "application/json; charset=utf-8", "{}"), false, "{}", ""},
		"events":                          {answer(200, "text/event-stream", "data: 1\n\n"), true, "data: 1\n\n", ""},
		"accepted":                        {answer(202, "", ""), false, "", ""},
		"JSON where events are resumed":   {answer(200, "application/json", "data: 1\n\n"), true, "", ""},
		"a page where events are resumed": {answer(200, "text/html", "data: 1\n\n"), true, "", ""},
		"no type where events are resumed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			fmt.Fprint(w, "data: 1\n\n")
		}, true, "", ""},
		"two types where events are wanted": {answer(200, "text/event-stream, application/json", "data: 1\n\n"), true, "", ""},
		"a page":                            {answer(200, "text/html", "<html>"), false, "", ""},
		"an error with JSON":                {answer(404, "application/json", "{}"), false, "{}", ""},
		"an error with a page":              {answer(500, "text/html", "<html>"), false, "", ""},
		"an error as events":                {answer(500, "text/event-stream", "data: 1\n\n"), true, "", ""},
		"an error too large":                {answer(500, "application/json", big), false, "", "more than 65536 bytes"},
		"JSON too large":                    {answer(200, "application/json", big+big), false, "", "more than 100000 bytes"},
		"compressed": {func(w http.ResponseWriter, _ *http.Request) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = io.WriteString(z, "{}")
			_ = z.Close()
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(b.Bytes())
		}, false, "", "was not asked for"},
		"headers too large": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", big) }, false, "", "COMPRESSION_ERROR"},
		"body cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serveFar(t, root, test.handler, nil)
			h, err := newTestClient(t, ClientConfig{CAs: trusting(root.Pool()), Message: 100_000}).HTTP(f.url)
			if err != nil {
				t.Fatal(err)
			}
			method := http.MethodPost
			if test.get {
				method = http.MethodGet
			}
			r, _ := http.NewRequestWithContext(t.Context(), method, f.url, http.NoBody)
			resp, err := h.Do(r)
			if name == "body cut off" {
				if err == nil {
					t.Error("taken")
				}
				return
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if err != nil {
				return
			}
			body, err := io.ReadAll(resp.Body)
			if _ = resp.Body.Close(); err != nil || string(body) != test.body {
				t.Errorf("read %q, %v", body, err)
			}
		})
	}
}

// An event, or a stream of no end that is none, is bounded, too.
func TestEndlessEvent(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	for _, field := range []string{"data: ", ": ", "data: x\ndata: ", "x"} {
		f := serveFar(t, root, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, err := io.WriteString(w, field)
			for err == nil {
				_, err = io.WriteString(w, strings.Repeat("x", 1000))
			}
		}), nil)
		c := newTestClient(t, ClientConfig{CAs: trusting(root.Pool()), Message: 100_000})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if _, err := connect(ctx, c.SSETransport(f.url), "2025-11-25"); err == nil || ctx.Err() != nil {
			t.Errorf("%q: %v", field, err)
		}
		cancel()
	}
}

func TestSilentServer(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	for _, version := range []string{"h2", "http/1.1"} {
		f := serveFar(t, root, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/stream" {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprint(w, ": hello\n\n")
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		}), func(c *tls.Config) { c.NextProtos = []string{version} })
		// One bound each: neither request has anything to do in time.
		h, err := newTestClient(t, ClientConfig{CAs: trusting(root.Pool()), Answer: 50 * time.Millisecond}).HTTP(f.url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Get(f.url); err == nil || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: an answer that never begins: %v", version, err)
		}
		if h, err = newTestClient(t, ClientConfig{CAs: trusting(root.Pool()), Idle: 50 * time.Millisecond}).HTTP(f.url); err != nil {
			t.Fatal(err)
		}
		resp, err := h.Get("https://" + f.at + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, errSilent) {
			t.Errorf("%s: a stream that is silent: %v", version, err)
		}
		_ = resp.Body.Close()
	}
	// A server that says nothing at all, not even of TLS.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	h, err := newTestClient(t, ClientConfig{CAs: trusting(root.Pool()), Connect: 50 * time.Millisecond}).HTTP("https://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Get("https://" + l.Addr().String()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A server that is hung up on may still finish its answer in order: that is no end.
func TestSilenceIsNoEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	b := &bounded{io.NopCloser(hungUp{ctx.Done()}), time.Millisecond, cancel, func() error { return context.Cause(ctx) }}
	if _, err := io.ReadAll(b); !errors.Is(err, errSilent) {
		t.Errorf("got %v", err)
	}
}

// hungUp ends when it is hung up on.
type hungUp struct{ done <-chan struct{} }

// Read implements [io.Reader].
func (h hungUp) Read([]byte) (int, error) {
	<-h.done
	return 0, io.EOF
}

func TestTokens(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	f := serveFar(t, root, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), nil)
	token, failed := "", error(nil)
	c := newTestClient(t, ClientConfig{CAs: trusting(root.Pool()), Token: func(context.Context) (string, error) { return token, failed }})
	h, err := c.HTTP(f.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, token = range []string{"", "a b", "a\r\nX-Admin: 1", "a\x00", "é", strings.Repeat("a", maxToken+1)} {
		_, err := h.Get(f.url)
		if err == nil || !strings.Contains(err.Error(), "no token") {
			t.Errorf("%.20q: %v", token, err)
		}
	}
	failed = errors.New("the issuer is away")
	if _, err := h.Get(f.url); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if n := len(f.requests()); n != 0 {
		t.Fatalf("%d requests without token", n)
	}
	// Each request asks anew, and nobody else's credentials come along.
	failed = nil
	for _, token = range []string{"one", "two"} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url, http.NoBody)
		r.Header.Set("Authorization", "Basic c2VjcmV0")
		resp, err := h.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if all := f.requests(); all[len(all)-1].Get("Authorization") != "Bearer "+token {
			t.Errorf("sent %q", all[len(all)-1]["Authorization"])
		}
	}
}

// What is changed on the client's side takes effect on connections that are open.
func TestClientFollowsChanges(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	f := serveFar(t, root, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/stream" {
			<-r.Context().Done()
		}
	}), nil)
	cas, server := trusting(root.Pool()), &judged{}
	own := &turning{}
	own.cert = root.Issue(t, "spiffe://example.org/one")
	c := newTestClient(t, ClientConfig{CAs: cas, Server: server, Certificate: own})
	h, err := c.HTTP(f.url)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (*http.Response, error) { return h.Get("https://" + f.at + path) }
	ask := func() {
		t.Helper()
		resp, err := get("/mcp")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if !f.lastLeaf().Equal(own.cert.Leaf) {
			t.Error("another certificate was shown")
		}
	}
	ask()
	own.mu.Lock()
	own.cert = root.Issue(t, "spiffe://example.org/two")
	own.mu.Unlock()
	own.push(t)
	ask()
	for name, change := range map[string]func(){
		"the server is revoked":    func() { err := errors.New("revoked"); server.refuse(err); server.push(t) },
		"the authority is removed": func() { cas.pool.Store(testpki.New(t, "root").Pool()); cas.push(t) },
		"nobody is trusted":        func() { cas.pool.Store(nil); cas.push(t) },
	} {
		cas.pool.Store(root.Pool())
		server.err.Store(nil)
		stream, err := get("/stream")
		if err != nil {
			t.Fatal(err)
		}
		change()
		if _, err := io.ReadAll(stream.Body); err == nil {
			t.Errorf("%s: the stream ended in order", name)
		}
		_ = stream.Body.Close()
		if _, err := get("/mcp"); err == nil {
			t.Errorf("%s: another connection was made", name)
		}
	}
}

// turning is a Source with a certificate that a test changes.
type turning struct {
	pushed

	cert *tls.Certificate
}

func (s *turning) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cert, nil
}

func (s *turning) Watch(ctx context.Context, changed func(), _ func(error)) error {
	return s.watch(ctx, changed)
}

func TestCloseEndsStreams(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	f := serveFar(t, root, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}), nil)
	c := newTestClient(t, ClientConfig{CAs: trusting(root.Pool())})
	h, err := c.HTTP(f.url)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.Get(f.url)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the stream ended in order")
	}
	_ = resp.Body.Close()
	if _, err := h.Get(f.url); err == nil || !strings.Contains(err.Error(), "is closed") {
		t.Errorf("got %v", err)
	}
}
