package secrets

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/mcpsec/mcpsec-go/creds/aws"
)

// An Option says how a secret is reached and what of it is issued.
type Option func(*config)

type config struct {
	region   string
	keys     awssdk.CredentialsProviderFunc // a func: fmt prints no credentials of it
	endpoint *string
	client   *http.Client
	field    string
	whole    bool
	poll     time.Duration
	accounts []string
	backoff  retry.BackoffDelayer // nil is the SDK's
	faults   []error
}

const (
	defaultPoll = 5 * time.Minute
	leastPoll   = 10 * time.Second
	mostPoll    = time.Hour
)

func newConfig(opts []Option) config {
	c := config{whole: true, poll: defaultPoll}
	for _, o := range opts {
		o(&c)
	}
	if c.keys == nil {
		c.faultf("need secrets.Credentials: nothing is looked up in the environment")
	}
	return c
}

func (c *config) faultf(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf(format, args...))
}

var (
	regionName = regexp.MustCompile(`^[a-z]{2,8}(-[a-z0-9]{1,12}){1,4}$`)
	accountID  = regexp.MustCompile(`^\d{12}$`)
)

// Region says in which region the secret is. It may be left out with an ARN.
func Region(name string) Option {
	return func(c *config) {
		if c.region = name; !regionName.MatchString(name) {
			c.faultf("secrets.Region: %q is no region, such as eu-central-1", name)
		}
	}
}

// Credentials says as whom the secret is read: most often an [aws.Base] that roles are
// assumed with too. Another provider is made one, so that its keys are kept until
// shortly before they end and never used afterwards. It is required.
func Credentials(p awssdk.CredentialsProvider) Option {
	return func(c *config) {
		base := aws.From(p)
		if err := base.Check(); err != nil {
			c.faultf("secrets.Credentials: %w", err)
		}
		c.keys = func(ctx context.Context) (awssdk.Credentials, error) {
			keys, err := base.Retrieve(ctx)
			if err != nil {
				return awssdk.Credentials{}, &keysError{err}
			}
			return keys, nil
		}
	}
}

// Endpoint is another address of the API, such as an interface endpoint in a VPC. It
// must be https, or on this machine.
func Endpoint(address string) Option {
	return func(c *config) {
		u, err := url.Parse(address)
		switch {
		case err != nil, u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
			c.faultf("secrets.Endpoint: need a URL of scheme, host and path")
		case !secure(u):
			c.faultf("secrets.Endpoint: need https: the secret would cross the network in clear")
		}
		c.endpoint = &address
	}
}

// Client replaces the HTTP client, for a proxy or a certificate authority of one's own.
// Redirects are not followed, whatever it says.
func Client(client *http.Client) Option {
	return func(c *config) {
		if c.client = client; client == nil {
			c.faultf("secrets.Client: need a client")
		}
	}
}

// Field issues one member of a secret that is a JSON object, instead of the whole. The
// member must be a string that is not empty.
func Field(name string) Option {
	return func(c *config) {
		if c.field, c.whole = name, false; name == "" || len(name) > 256 {
			c.faultf("secrets.Field: a name has 1 to 256 bytes, this one %d", len(name))
		}
	}
}

// Poll is how long a version is issued before it is asked for again, and with that how
// long a rotation may go unseen: 10 seconds to 1 hour. It is 5 minutes by default.
func Poll(every time.Duration) Option {
	return func(c *config) {
		if c.poll = every; every < leastPoll || every > mostPoll {
			c.faultf("secrets.Poll: need %v to %v, not %v", leastPoll, mostPoll, every)
		}
	}
}

// Accounts refuses a secret of any other account: a name alone says nothing of the
// account, which is that of the credentials.
func Accounts(ids ...string) Option {
	return func(c *config) {
		if len(ids) == 0 {
			c.faultf("secrets.Accounts: need at least one account")
		}
		for _, id := range ids {
			if !accountID.MatchString(id) {
				c.faultf("secrets.Accounts: %q is no account: need 12 digits", id)
			}
		}
		c.accounts = append(c.accounts, ids...)
	}
}
