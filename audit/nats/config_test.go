package nats

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	with := func(change func(*Config)) Config {
		c := Config{URLs: []string{"nats://127.0.0.1:1"}, Stream: stream, Subject: subject}
		change(&c)
		return c
	}
	urls := func(u ...string) Config { return with(func(c *Config) { c.URLs = u }) }
	streamOf := func(s string) Config { return with(func(c *Config) { c.Stream = s }) }
	subjectOf := func(s string) Config { return with(func(c *Config) { c.Subject = s }) }
	options := func(o ...gonats.Option) Config { return with(func(c *Config) { c.Options = o }) }
	for name, test := range map[string]struct {
		config Config
		says   []string
	}{
		"nothing":                 {Config{}, []string{"URLs", "Stream", "Subject"}},
		"no scheme":               {urls("127.0.0.1:4222"), []string{"URLs[0]"}},
		"websocket":               {urls("nats://a:1", "wss://b:1"), []string{"URLs[1]"}},
		"no host":                 {urls("nats://"), []string{"URLs[0]"}},
		"password in the URL":     {urls("nats://user:hunter2@a:1"), []string{"URLs[0]", "credentials"}},
		"password in no URL":      {urls("nats://user:hunter2@a:1:2:%"), []string{"URLs[0]"}},
		"token in the URL":        {urls("nats://hunter2@a:1"), []string{"URLs[0]", "credentials"}},
		"stream with a dot":       {streamOf("a.b"), []string{"Stream"}},
		"stream that is a path":   {streamOf("../a"), []string{"Stream"}},
		"stream of all":           {streamOf("*"), []string{"Stream"}},
		"subject with a wildcard": {subjectOf("audit.*"), []string{"Subject"}},
		"subject of all":          {subjectOf(">"), []string{"Subject"}},
		"subject without a part":  {subjectOf("audit..files"), []string{"Subject"}},
		"subject with more":       {subjectOf("audit reply 5\r\nPUB x"), []string{"Subject"}},
		"subject with a tab":      {subjectOf("audit\tx"), []string{"Subject"}},
		"subject not UTF-8":       {subjectOf("audit.\xff"), []string{"Subject"}},
		"nil option":              {options(nil), []string{"Options: [0]"}},
		"option that fails":       {options(gonats.Name("x"), gonats.ClientCert("/none", "/none")), []string{"Options: [1]"}},
		"old TLS":                 {options(gonats.Secure(&tls.Config{MinVersion: tls.VersionTLS11})), []string{"TLS 1.2"}},
		"several at once":         {Config{URLs: []string{"x"}, Subject: "*"}, []string{"URLs", "Stream", "Subject"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := New(test.config)
			if err == nil {
				_ = d.Close()
				t.Fatal("accepted")
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not named: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("shows the password: %v", err)
			}
		})
	}
}

// Options of the caller's that this package sets too do not win; the others are
// heard.
func TestOptionsThatAreOverridden(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store(nil)
	dialled, closed := 0, make(chan struct{})
	d := to(s, func(c *Config) {
		c.Options = []gonats.Option{
			func(o *gonats.Options) error {
				o.Url, o.Servers = "nats://192.0.2.1:4222", []string{"nats://192.0.2.1:4222"}
				return nil
			},
			gonats.RetryOnFailedConnect(true), gonats.MaxReconnects(-1), gonats.ReconnectBufSize(1 << 30),
			gonats.SetCustomDialer(dialer(func(network, address string) (net.Conn, error) {
				dialled++
				return net.DialTimeout(network, address, patience)
			})),
			gonats.ClosedHandler(func(*gonats.Conn) { close(closed) }),
		}
	})
	deliver(t, d, records(0, 10, 10))
	if dialled != 1 {
		t.Errorf("the caller's dialer was asked %d times", dialled)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("the caller's callback was not called")
	}
	s.holds(records(0, 10, 10))
}

func TestTLSWithClientCertificate(t *testing.T) {
	t.Parallel()
	ours, theirs := newIdentity(t), newIdentity(t)
	s := start(t, fmt.Sprintf("tls: {cert_file: %q, key_file: %q, ca_file: %q, verify: true, timeout: 60}", theirs.cert, theirs.key, ours.cert))
	s.admin = []gonats.Option{gonats.RootCAs(theirs.cert), gonats.ClientCert(ours.cert, ours.key)}
	s.store(nil)
	stranger := newIdentity(t)
	for name, test := range map[string]struct {
		options []gonats.Option
		says    string
	}{
		"server nobody vouches for":  {[]gonats.Option{gonats.ClientCert(ours.cert, ours.key)}, "certificate"},
		"no client certificate":      {[]gonats.Option{gonats.RootCAs(theirs.cert)}, ""},
		"a stranger's certificate":   {[]gonats.Option{gonats.RootCAs(theirs.cert), gonats.ClientCert(stranger.cert, stranger.key)}, ""},
		"the stranger's certificate": {[]gonats.Option{gonats.RootCAs(stranger.cert), gonats.ClientCert(ours.cert, ours.key)}, "certificate"},
	} {
		d := to(s, func(c *Config) { c.Options, c.AllowPlaintext = test.options, false })
		if err := fails(t, d, patience, records(0, 1, 10)); !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, scheme := range []string{"tls://", "nats://"} {
		d := to(s, func(c *Config) {
			c.URLs[0] = strings.Replace(s.url, "nats://", scheme, 1)
			c.Options, c.AllowPlaintext = s.admin, false
		})
		deliver(t, d, records(0, 10, 10))
		if _, err := d.conn.conn.TLSConnectionState(); err != nil {
			t.Error(err)
		}
	}
	s.holds(records(0, 10, 10))
}

// Nothing, and no password, goes to a server that offers no TLS, or to somebody in
// between who says that it does not.
func TestNoTLS(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string)
	go func() {
		defer close(got)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, `INFO {"server_id":"x","version":"2.9.10","proto":1,"headers":true,"max_payload":1048576}`+"\r\n")
		all, _ := io.ReadAll(conn)
		got <- string(all)
	}()
	d, err := New(Config{
		URLs: []string{"nats://" + l.Addr().String()}, Stream: stream, Subject: subject,
		Options: []gonats.Option{gonats.UserInfo("audit", "hunter2")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := fails(t, d, patience, records(0, 10, 10)); !strings.Contains(err.Error(), "AllowPlaintext") {
		t.Errorf("no remedy: %v", err)
	}
	if sent := <-got; sent != "" {
		t.Errorf("sent in the clear: %q", sent)
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, `authorization: {timeout: 60, users: [
		{nkey: `+public+`, permissions: {publish: "audit.>", subscribe: "_INBOX.>"}},
		{user: admin, password: hunter1},
		{user: audit, password: hunter2, permissions: {publish: "audit.>", subscribe: "_INBOX.>"}},
		{user: nobody, password: hunter3, permissions: {publish: "other", subscribe: "_INBOX.>"}},
		{user: deaf, password: hunter4, permissions: {publish: "audit.>", subscribe: "other"}},
	]}`)
	s.admin = []gonats.Option{gonats.UserInfo("admin", "hunter1")}
	s.store(nil)
	as := func(user, password string) *Destination {
		return to(s, func(c *Config) { c.Options = []gonats.Option{gonats.UserInfo(user, password)} })
	}
	for name, d := range map[string]*Destination{
		"credentials": as("audit", "hunter3"), "right to publish": as("nobody", "hunter3"), "subscribe to its inbox": as("deaf", "hunter4"),
	} {
		begun := time.Now()
		err := fails(t, d, patience, records(10, 20, 10)) // the deaf one's first is stored
		if !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(begun); took > patience/2 {
			t.Errorf("%s: waited %v for what will not come", name, took)
		}
	}
	d := as("audit", "hunter2") // what a destination needs, and no more
	deliver(t, d, records(10, 20, 10))
	signed := to(s, func(c *Config) { c.Options = []gonats.Option{gonats.Nkey(public, key.Sign)} })
	deliver(t, signed, records(20, 30, 10))
	s.holds(records(10, 30, 10))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, v := range []any{d, d.config} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
				t.Errorf("%s shows the password: %s", verb, text)
			}
		}
	}
}

// Certificates are read again for each connection: one that was replaced is used.
func TestCertificateReplaced(t *testing.T) {
	t.Parallel()
	ours, theirs, next := newIdentity(t), newIdentity(t), newIdentity(t)
	s := start(t, fmt.Sprintf("tls: {cert_file: %q, key_file: %q, ca_file: %q, verify: true, timeout: 60}", theirs.cert, theirs.key, ours.cert))
	s.admin = []gonats.Option{gonats.RootCAs(theirs.cert), gonats.ClientCert(ours.cert, ours.key)}
	s.store(nil)
	d := to(s, func(c *Config) {
		c.Options = []gonats.Option{gonats.RootCAs(theirs.cert), gonats.ClientCert(next.cert, next.key)}
	})
	_ = fails(t, d, patience, records(0, 10, 10))
	for to, from := range map[string]string{next.cert: ours.cert, next.key: ours.key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	deliver(t, d, records(0, 10, 10))
}
