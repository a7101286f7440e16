package https

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A ClientConfig says which servers a client trusts and how it proves who it is. What is not
// set is the safe choice.
type ClientConfig struct {
	// CAs are the authorities that servers must be certified by. They, or SystemRoots, must be
	// set: then the authorities of the operating system are trusted, all of them, for any name.
	CAs         pki.Authorities
	SystemRoots bool
	// Server, if set, judges the server's verified certificate besides: by name, and whether
	// it is revoked.
	Server pki.Peers
	// SPIFFE has servers known by their SPIFFE ID, which Server judges, in the place of the
	// host name in the URL.
	SPIFFE bool
	// Certificate, if set, is what the client shows when the server asks for a certificate.
	Certificate pki.Source
	// Token, if set, returns the access token of a request. It is asked before each one, so it
	// caches and renews by itself. The token goes to the origin of the endpoint only, in the
	// header Authorization.
	Token func(ctx context.Context) (string, error)

	// Private allows names that lead to private and loopback addresses. Without it such an
	// address must stand in the URL itself, or be called localhost: a name in the hands of
	// others could lead into this network. Link-local, multicast and unspecified addresses
	// are never connected to.
	Private bool

	// Message bounds a message of the server, in bytes: 16 MiB.
	Message int64
	// Connect bounds the making of a connection: 10 s. Answer is how long the server may take
	// until it begins to answer: 5 min. Idle is how long a begun answer or stream may be
	// silent: 5 min; servers of this package say something every 15 s. Negative is no bound.
	// A call's context ends it earlier.
	Connect, Answer, Idle time.Duration
	// Log is told of certificates that cannot be reloaded and of connections that are ended.
	// Nil means slog.Default.
	Log *slog.Logger
}

// A Client connects to MCP servers: TLS 1.3 only, servers of pinned authorities only, no
// proxies of the environment, no redirects to another origin. It follows the files and
// sources it was made with, and ends connections that would not be made any more. It is
// safe for concurrent use. Close it.
type Client struct {
	conf   ClientConfig
	dialer *dialer
	inner  atomic.Pointer[http.Transport]
	stop   context.CancelFunc
	group  sync.WaitGroup
}

// NewClient makes a client. The error names all faults of the configuration.
func NewClient(conf ClientConfig) (*Client, error) {
	if err := conf.check(); err != nil {
		return nil, err
	}
	conf.Message = orDefault(conf.Message, 16<<20)
	conf.Connect = orDefault(conf.Connect, 10*time.Second)
	conf.Answer = orDefault(conf.Answer, 5*time.Minute)
	conf.Idle = orDefault(conf.Idle, 5*time.Minute)
	if conf.Log == nil {
		conf.Log = slog.Default()
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{conf: conf, dialer: newDialer(conf), stop: stop}
	c.renew()
	c.watch(ctx)
	return c, nil
}

// renew has requests use new connections from now on. Those under way end on the old ones,
// which are closed when they are idle.
func (c *Client) renew() {
	old := c.inner.Swap(&http.Transport{
		DialTLSContext:         c.dialer.dial,
		DialContext:            noPlainText,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // a small answer could become a large one
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  max(c.conf.Answer, 0),
		MaxResponseHeaderBytes: 64 << 10,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	})
	if old != nil {
		old.CloseIdleConnections()
	}
}

func orDefault[T int64 | time.Duration](v, standard T) T {
	if v == 0 {
		return standard
	}
	return v
}

func (conf *ClientConfig) check() error {
	var faults []error
	if conf.CAs == nil && !conf.SystemRoots {
		faults = append(faults, errors.New("CAs is missing: name the authority of the server with pki.CAFile, or set SystemRoots"))
	}
	if conf.CAs != nil && conf.SystemRoots {
		faults = append(faults, errors.New("CAs and SystemRoots are both set: the server's authority is pinned or it is not"))
	}
	if conf.SPIFFE && (conf.Server == nil || conf.CAs == nil) {
		faults = append(faults, errors.New("SPIFFE needs Server, which says the server's ID, and CAs"))
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("https: ClientConfig: %w", errors.Join(faults...))
}

// watch keeps sources fresh, and ends what is no longer good after each change and every few
// seconds.
func (c *Client) watch(ctx context.Context) {
	fault := func(err error) {
		c.conf.Log.Error("https: a client's certificates", "error", err)
	}
	follow := func(watch func(context.Context, func(), func(error)) error, changed func()) {
		c.group.Go(func() {
			if err := watch(ctx, changed, fault); ctx.Err() == nil {
				fault(fmt.Errorf("no longer followed: %w", err))
			}
		})
	}
	if c.conf.CAs != nil {
		follow(c.conf.CAs.Watch, c.dialer.recheck)
	}
	if c.conf.Server != nil {
		follow(c.conf.Server.Watch, c.dialer.recheck)
	}
	if c.conf.Certificate != nil {
		follow(c.conf.Certificate.Watch, c.renew)
	}
	c.group.Go(func() {
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.dialer.recheck()
			}
		}
	})
}

// Close ends all connections, and returns when nothing of the client runs any more.
func (c *Client) Close() error {
	c.stop()
	c.dialer.close()
	c.inner.Load().CloseIdleConnections()
	c.group.Wait()
	return nil
}

// HTTP returns an HTTP client for one server: that of an endpoint, https://HOST[:PORT]/PATH.
// It refuses requests and redirects to any other origin.
func (c *Client) HTTP(endpoint string) (*http.Client, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return nil, errors.New("https: the endpoint is no URL") // the error would repeat what may hold a secret
	case u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("https: an endpoint begins with https:// and a host")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("https: an endpoint has no user and no fragment: credentials go into ClientConfig.Token")
	case hasSecret(u.Query()):
		return nil, errors.New("https: a token in a query ends up in logs: give it by ClientConfig.Token")
	}
	return &http.Client{
		Transport: &tripper{client: c, origin: originOf(u)},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			switch {
			case originOf(req.URL) != originOf(u):
				return errors.New("https: the server redirects to another origin")
			case req.Method != via[0].Method || len(via) > 3:
				return errors.New("https: the server redirects too often, or to another method")
			}
			return nil
		},
	}, nil
}

func hasSecret(query url.Values) bool {
	for key := range query {
		switch strings.ToLower(key) {
		case "access_token", "token", "id_token", "api_key", "apikey", "authorization":
			return true
		}
	}
	return false
}

// originOf returns scheme, host and port of a URL.
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// Transport returns the transport Streamable HTTP to an endpoint. What is wrong with the URL
// is said when it is connected.
func (c *Client) Transport(endpoint string) mcp.Transport {
	h, err := c.HTTP(endpoint)
	if err != nil {
		return unusable{err}
	}
	return &mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: h, MaxEventSize: c.maxEvent()}
}

// SSETransport returns the deprecated transport HTTP+SSE, for servers that have no other.
func (c *Client) SSETransport(endpoint string) mcp.Transport {
	h, err := c.HTTP(endpoint)
	if err != nil {
		return unusable{err}
	}
	return &mcp.SSEClientTransport{Endpoint: endpoint, HTTPClient: h, MaxEventSize: c.maxEvent()}
}

func (c *Client) maxEvent() int { return int(min(c.conf.Message, 1<<31-1)) }

// unusable is a transport that says why there is none.
type unusable struct{ err error }

func (u unusable) Connect(context.Context) (mcp.Connection, error) { return nil, u.err }
