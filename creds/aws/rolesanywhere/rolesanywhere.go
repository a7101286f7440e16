package rolesanywhere

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// A Config says who asks and for what. All but the last four is required.
type Config struct {
	TrustAnchorARN string
	ProfileARN     string
	RoleARN        string
	Certificate    Source

	// Region is that of the trust anchor; empty takes it from its ARN.
	Region string
	// Duration is the life of a session, from 15 minutes to 12 hours, and no more than
	// profile and role allow. Zero is one hour.
	Duration time.Duration
	// Endpoint is another address of the API, https or on this machine.
	Endpoint string
	// Client replaces the HTTP client, for a proxy or a certificate authority of one's
	// own. Redirects are not followed, whatever it says.
	Client *http.Client
}

const (
	leastDuration   = 15 * time.Minute
	defaultDuration = time.Hour
	mostDuration    = 12 * time.Hour
	// attempts is how often a request is made that the service had no time for.
	attempts = 3
)

// A Provider exchanges a certificate each time it is asked: give it to aws.From, which
// keeps what it gets. It is safe for concurrent use. It implements the SDK's
// CredentialsProvider.
type Provider struct {
	config   Config
	account  string
	endpoint *url.URL
	client   *http.Client
	now      func() time.Time
	pause    func(ctx context.Context, failures int) error
}

var (
	_ awssdk.CredentialsProvider = (*Provider)(nil)
	_ io.Closer                  = (*Provider)(nil)
)

// New returns a Provider, or everything that is wrong with the configuration. It asks
// neither the service nor the source of the certificate.
func New(c Config) (*Provider, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	anchor := parse(c.TrustAnchorARN, "rolesanywhere", "trust-anchor/")
	profile := parse(c.ProfileARN, "rolesanywhere", "profile/")
	role := parse(c.RoleARN, "iam", "role/")
	if anchor == nil {
		fault("TrustAnchorARN: need arn:aws:rolesanywhere:REGION:ACCOUNT:trust-anchor/ID")
	}
	if profile == nil {
		fault("ProfileARN: need arn:aws:rolesanywhere:REGION:ACCOUNT:profile/ID")
	}
	if role == nil {
		fault("RoleARN: need arn:aws:iam::ACCOUNT:role/NAME")
	}
	if anchor != nil && profile != nil && role != nil {
		if anchor.AccountID != profile.AccountID || anchor.AccountID != role.AccountID || anchor.Partition != role.Partition || anchor.Partition != profile.Partition {
			fault("trust anchor, profile and role must be of one account")
		}
		if c.Region = cmp.Or(c.Region, anchor.Region); c.Region != anchor.Region || c.Region != profile.Region {
			fault("trust anchor and profile must be of one region, and Region too")
		}
	}
	if c.Certificate == nil {
		fault("Certificate: need a source, such as Files")
	}
	if c.Duration = cmp.Or(c.Duration, defaultDuration); c.Duration < leastDuration || c.Duration > mostDuration || c.Duration%time.Second != 0 {
		fault("Duration: need whole seconds from %v to %v, not %v", leastDuration, mostDuration, c.Duration)
	}
	p := &Provider{config: c, account: account(role), client: newClient(c.Client), now: time.Now, pause: pause}
	var err error
	if p.endpoint, err = endpoint(c, anchor); err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("rolesanywhere.New: %w", errors.Join(faults...))
	}
	return p, nil
}

var (
	regionName = regexp.MustCompile(`^[a-z]{2,8}(-[a-z0-9]{1,12}){1,4}$`)
	accountID  = regexp.MustCompile(`^\d{12}$`)
	resource   = regexp.MustCompile(`^[A-Za-z0-9_+=,.@/-]{1,600}$`)
)

// parse returns the parts of an ARN, or nil if it is not one of the service and kind.
func parse(s, service, kind string) *arn.ARN {
	a, err := arn.Parse(s)
	name, ok := strings.CutPrefix(a.Resource, kind)
	if err != nil || !ok || a.Service != service || !accountID.MatchString(a.AccountID) || !resource.MatchString(name) ||
		!strings.HasPrefix(a.Partition, "aws") || (service == "iam") != (a.Region == "") || a.Region != "" && !regionName.MatchString(a.Region) {
		return nil
	}
	return &a
}

func account(a *arn.ARN) string {
	if a == nil {
		return ""
	}
	return a.AccountID
}

// endpoint is where sessions are made.
func endpoint(c Config, anchor *arn.ARN) (*url.URL, error) {
	if c.Endpoint == "" {
		if anchor == nil {
			return nil, nil // said already
		}
		domain := map[string]string{"aws": "amazonaws.com", "aws-us-gov": "amazonaws.com", "aws-cn": "amazonaws.com.cn"}[anchor.Partition]
		if domain == "" {
			return nil, fmt.Errorf("need an Endpoint for partition %q", anchor.Partition)
		}
		return &url.URL{Scheme: "https", Host: "rolesanywhere." + anchor.Region + "." + domain}, nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the Endpoint must be a URL of scheme and host")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme != "https" && (u.Scheme != "http" || !ip.IsLoopback() && u.Hostname() != "localhost") {
		return nil, errors.New("the Endpoint must be https: the credentials would cross the network in clear")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func newClient(configured *http.Client) *http.Client {
	c := &http.Client{Timeout: 10 * time.Second}
	if configured != nil {
		*c = *configured
	} else {
		c.Transport = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 3 * time.Second, ResponseHeaderTimeout: 5 * time.Second,
			// A session is made once an hour: there is no use for a connection until then.
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, DisableCompression: true,
		}
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// Retrieve makes a session. A request for which the service had no time is made again
// after a pause, three times in all.
func (p *Provider) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	for failures := 1; ; failures++ {
		keys, err := p.session(ctx)
		if err == nil {
			return keys, nil
		}
		_, passes := errors.AsType[*busyError](err)
		if !passes || failures == attempts || p.pause(ctx, failures) != nil {
			return awssdk.Credentials{}, fmt.Errorf("rolesanywhere: %w", err)
		}
	}
}

// session makes one, with the certificate as it is now.
func (p *Provider) session(ctx context.Context) (awssdk.Credentials, error) {
	id, err := p.identity(ctx)
	if err != nil {
		return awssdk.Credentials{}, err
	}
	req, err := p.request(ctx, id)
	if err != nil {
		return awssdk.Credentials{}, err
	}
	return p.exchange(req)
}

// identity returns a certificate that the service may take. It is asked for once more
// if it does not fit its key: the two may be replaced at this moment.
func (p *Provider) identity(ctx context.Context) (id Identity, err error) {
	for range 2 {
		if id, err = p.config.Certificate(ctx); err == nil {
			err = id.check(p.now())
		}
		if !errors.Is(err, errMismatch) {
			break
		}
	}
	if err != nil {
		return Identity{}, fmt.Errorf("certificate: %w", err)
	}
	return id, nil
}

// pause waits for anything up to a fifth of a second, which doubles.
func pause(ctx context.Context, failures int) error {
	longest := 200 * time.Millisecond << min(failures-1, 4)
	t := time.NewTimer(time.Duration(rand.Int64N(int64(longest)))) //nolint:gosec // spreads load, protects nothing
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close gives up idle connections, if the client is the Provider's own.
func (p *Provider) Close() error {
	if p.config.Client == nil {
		p.client.CloseIdleConnections()
	}
	return nil
}

// String says for which role the Provider asks.
func (p *Provider) String() string { return "rolesanywhere " + p.config.RoleARN }

// Format writes what String returns, for every verb.
func (p *Provider) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

// signedHeaders are sorted, as Signature Version 4 wants them.
func signedHeaders(h http.Header) []string {
	names := []string{"host"}
	for name := range h {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	return names
}
