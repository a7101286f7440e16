package secrets

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// canary is in every secret of these tests, and nowhere else.
const canary = "CANARY-correct-horse"

// start is the time at which the tests of a clock begin.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// options are those of a provider whose service is config's.
func options(config awssdk.Config, more ...Option) []Option {
	return append([]Option{
		Region(config.Region), Credentials(config.Credentials), Endpoint(*config.BaseEndpoint), Client(config.HTTPClient.(*http.Client)), atOnce,
	}, more...)
}

// atOnce tries again without waiting.
func atOnce(c *config) {
	c.backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
}

// of returns the provider as the package sees it.
func of(t *testing.T, p creds.Provider) *provider {
	t.Helper()
	own, ok := p.(*provider)
	if !ok {
		t.Fatalf("%T", p)
	}
	t.Cleanup(func() { _ = own.Close() })
	return own
}

// issue returns the secret and version that a provider issues.
func issue(t *testing.T, p creds.Provider) (secret, version string) {
	t.Helper()
	m, err := p.Issue(t.Context(), creds.NewSpec("db", nil), creds.Request{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Secret.Close()
	return string(m.Secret.Reveal()), m.Version
}

// refused returns the error of a provider, which has to say each of the words, and
// nothing of a secret.
func refused(t *testing.T, p creds.Provider, words ...string) {
	t.Helper()
	m, err := p.Issue(t.Context(), creds.NewSpec("db", nil), creds.Request{})
	if err == nil {
		t.Fatalf("issued version %s", m.Version)
	}
	if !m.Secret.Empty() || len(m.Parts) > 0 {
		t.Error("an error, and a secret with it")
	}
	said := err.Error()
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("%q does not say %q", said, word)
		}
	}
	secretFree(t, said)
}

// secretFree looks for everything that must not be said.
func secretFree(t *testing.T, said string) {
	t.Helper()
	for _, secret := range []string{canary, fakeaws.Keys.SecretAccessKey, fakeaws.Keys.SessionToken} {
		if strings.Contains(said, secret) {
			t.Errorf("%q has the secret %q", said, secret)
		}
	}
}

// A bench is a store of secrets behind its real API, written and rotated as its owner
// would.
type bench struct {
	config awssdk.Config
	admin  admin
	make   func(id string, opts ...Option) creds.Provider
}

// admin is what the owner of a store does.
type admin interface {
	create(ctx context.Context, name, value string) error
	// rotate makes a value current, in the steps of the store.
	rotate(ctx context.Context, name, value string) error
	remove(ctx context.Context, name string) error
}

func (b *bench) provider(t *testing.T, id string, more ...Option) *provider {
	t.Helper()
	return of(t, b.make(id, options(b.config, more...)...))
}
