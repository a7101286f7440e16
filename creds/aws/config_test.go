package aws

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func (c *cloud) grant(opts ...Option) creds.Grant {
	return AssumeRole(readerARN, append([]Option{Using(chained()), Region(fakeaws.Region), Endpoint(c.URL), SessionPolicy(readLogs)}, opts...)...)
}

func (c *cloud) injector(tb testing.TB, grants ...creds.Grant) *creds.Injector {
	tb.Helper()
	in := creds.New(creds.ForTool("list", grants...))
	if err := in.Check(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := in.Close(); err != nil {
			tb.Error(err)
		}
	})
	return in
}

// whoami is what a handler does: a call to a service, with a client of the SDK.
func (c *cloud) whoami(ctx context.Context, config awssdk.Config) (string, error) {
	config.BaseEndpoint = &c.URL
	out, err := sts.NewFromConfig(config).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return *out.Arn, nil
}

func TestConfig(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	in := c.injector(t, c.grant(), c.grant(As("logs"), Region("eu-central-1")), creds.Named("other", creds.Static([]byte("x"))))
	var left awssdk.Config
	err := run(t.Context(), in, alice(), `{}`, func(ctx context.Context) error {
		config, err := Config(ctx)
		if err != nil {
			return err
		}
		left = config
		if who, err := c.whoami(ctx, config); err != nil || !strings.Contains(who, ":assumed-role/reader/list-") {
			t.Errorf("%s, %v", who, err)
		}
		if config.Region != fakeaws.Region || config.ClientLogMode != 0 {
			t.Errorf("%+v", config)
		}
		if _, err := ConfigFor(ctx, "logs"); err != nil {
			t.Error(err)
		}
		if _, err := ConfigFor(ctx, "other"); err == nil || !strings.Contains(err.Error(), "not one of AWS") {
			t.Errorf("another kind of credential: %v", err)
		}
		if _, err := ConfigFor(ctx, "root"); mcpsec.AsDenial(err) == nil || mcpsec.AsDenial(err).Code != "creds.not_bound" {
			t.Errorf("not bound: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// A goroutine that was left behind.
	if _, err := left.Credentials.Retrieve(t.Context()); mcpsec.AsDenial(err) == nil || mcpsec.AsDenial(err).Code != "creds.closed" {
		t.Errorf("after the call: %v", err)
	}
	if _, err := c.whoami(t.Context(), left); err == nil {
		t.Error("a client works after the call")
	}
	if _, err := Config(t.Context()); mcpsec.AsDenial(err) == nil {
		t.Errorf("outside a call: %v", err)
	}
}

// cases 5, 6 and 7: keys that a service refuses are replaced once, and then it is an
// error.
func TestCase7Refused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		faults []fakeaws.Fault
		issued int
		ok     bool
	}{
		"expired in flight": {[]fakeaws.Fault{fakeaws.Refuse(403, "ExpiredToken", "canary")}, 2, true},
		"unknown":           {[]fakeaws.Fault{fakeaws.Refuse(403, "InvalidClientTokenId", "canary")}, 2, true},
		"expired again":     {[]fakeaws.Fault{fakeaws.Refuse(403, "ExpiredToken", "canary"), fakeaws.Refuse(403, "ExpiredToken", "canary"), fakeaws.Refuse(403, "ExpiredToken", "canary")}, 2, false},
		"not allowed":       {[]fakeaws.Fault{fakeaws.Refuse(403, "AccessDenied", "canary")}, 1, false},
		"wrong signature":   {[]fakeaws.Fault{fakeaws.Refuse(403, "SignatureDoesNotMatch", "canary"), fakeaws.Refuse(403, "SignatureDoesNotMatch", "canary"), fakeaws.Refuse(403, "SignatureDoesNotMatch", "canary")}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			in := c.injector(t, c.grant())
			err := run(t.Context(), in, alice(), `{}`, func(ctx context.Context) error {
				config, err := Config(ctx)
				if err != nil {
					return err
				}
				c.Inject("GetCallerIdentity", tc.faults...)
				_, err = c.whoami(ctx, config)
				return err
			})
			if (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
			if n := c.Requests("AssumeRole"); n != tc.issued {
				t.Errorf("issued %d times", n)
			}
		})
	}
}

// shortLife is waited for, and longer than a busy machine pauses.
const shortLife = 10 * time.Second

// case 5: a long handler works on with new keys, of which it need not know.
func TestCase5LongHandler(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.sts.Life = shortLife
	in := c.injector(t, c.grant())
	err := run(t.Context(), in, alice(), `{}`, func(ctx context.Context) error {
		config, err := Config(ctx)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for end := time.Now().Add(time.Minute); len(seen) < 2; <-time.After(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Error("one key in more than a life")
				break
			}
			k, err := config.Credentials.Retrieve(ctx)
			if err != nil {
				return err
			}
			seen[k.AccessKeyID] = true
			if _, err := c.whoami(ctx, config); err != nil && time.Now().Before(k.Expires) { // on a busy machine they may be over
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// case 12: two tools with one role and different policies, and case 13: two callers,
// never share; the same tool and caller do.
func TestCase12Sharing(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	in := creds.New(
		creds.ForTool("list", c.grant()),
		creds.ForTool("write", c.grant(SharedSession())),
	)
	t.Cleanup(func() { in.Close() })
	bob := alice()
	bob.Subject = "bob"
	keyOf := func(tool string, p mcpsec.Principal) string {
		id := ""
		if err := runTool(t.Context(), in, tool, p, `{}`, func(ctx context.Context) error {
			config, err := Config(ctx)
			if err != nil {
				return err
			}
			k, err := config.Credentials.Retrieve(ctx)
			id = k.AccessKeyID
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	a, b := keyOf("list", alice()), keyOf("list", bob)
	if a == b || a != keyOf("list", alice()) || b != keyOf("list", bob) || c.Requests("AssumeRole") != 2 {
		t.Errorf("%s, %s, issued %d times", a, b, c.Requests("AssumeRole"))
	}
	w := keyOf("write", alice())
	if w == a || w == b || w != keyOf("write", bob) || c.Requests("AssumeRole") != 3 {
		t.Errorf("a shared session: %s, %s, %s, issued %d times", a, b, w, c.Requests("AssumeRole"))
	}
}

// case 25: what the host has is out of reach.
func TestCase25Host(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIACANARY", "AWS_SECRET_ACCESS_KEY": "canary", "AWS_SESSION_TOKEN": "canary", "AWS_PROFILE": "canary", "AWS_REGION": "us-gov-west-1",
		"AWS_ROLE_ARN": "arn:aws:iam::999999999999:role/canary", "AWS_WEB_IDENTITY_TOKEN_FILE": "/canary", "AWS_ENDPOINT_URL": "http://canary.invalid", "AWS_ENDPOINT_URL_STS": "http://canary.invalid",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/canary", "HTTPS_PROXY": "http://canary.invalid", "HTTP_PROXY": "http://canary.invalid",
	} {
		t.Setenv(name, value)
	}
	c := newCloud(t)
	in := c.injector(t, c.grant())
	if err := run(t.Context(), in, alice(), `{}`, func(ctx context.Context) error {
		config, err := Config(ctx)
		if err != nil {
			return err
		}
		who, err := c.whoami(ctx, config)
		if strings.Contains(who, "canary") || config.Region != fakeaws.Region {
			t.Errorf("%s, %+v", who, config.Region)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := creds.New(creds.ForTool("list", AssumeRole(readerARN, Region("eu-central-1"), SessionPolicy(readLogs)))).Check(); err == nil {
		t.Error("without a base something was found")
	}
}

// case 23: neither provider nor base nor configuration prints a secret.
func TestCase23Printing(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	m, err := issue(t, c.role(t, SessionPolicy(readLogs)))
	if err != nil {
		t.Fatal(err)
	}
	r := offline(t, SessionPolicy(readLogs)) // fmt walks into HTTP clients that are at work
	if _, err := r.base.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := user()
	if _, err := b.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, base := range []*Base{r.base, b} {
		waitFor(func() bool { // its attempt is over
			base.mu.Lock()
			defer base.mu.Unlock()
			return base.stuck == 0
		})
	}
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for _, v := range []any{r, b, m, r.grant()} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&log, verb, v)
		}
		logger.Info("x", "v", v)
	}
	for _, secret := range []string{fakeaws.UserKeys.SecretAccessKey, fakeaws.Keys.SecretAccessKey, string(m.Parts[0].Reveal()), string(m.Parts[1].Reveal())} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q was printed", secret)
		}
	}
}

// case 3: many cold calls at once make one request to STS for each caller.
func TestCase3ColdCalls(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	in := c.injector(t, c.grant())
	var wg sync.WaitGroup
	for i := range 400 {
		p := alice()
		p.Subject = fmt.Sprint("user", i%4)
		wg.Go(func() {
			if err := run(t.Context(), in, p, `{}`, func(ctx context.Context) error { _, err := Config(ctx); return err }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := c.Requests("AssumeRole"); n != 4 {
		t.Errorf("%d requests for 4 callers", n)
	}
}

// case 1: while STS is down, keys serve to their end and no longer; when it is back, so
// are they.
func TestCase1Outage(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.sts.Life = shortLife
	in := c.injector(t, c.grant())
	var down atomic.Bool
	for range 10_000 {
		c.Inject("AssumeRole", func(s *fakeaws.Server, next http.Handler) http.Handler {
			if down.Load() {
				return fakeaws.Unavailable()(s, next)
			}
			return next
		})
	}
	call := func() error {
		return run(t.Context(), in, alice(), `{}`, func(ctx context.Context) error {
			config, err := Config(ctx)
			if err != nil {
				return err
			}
			asked := time.Now()
			k, err := config.Credentials.Retrieve(ctx)
			if err == nil && !asked.Before(k.Expires) {
				t.Error("dead keys")
			}
			return err
		})
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	down.Store(true)
	if err := call(); err != nil {
		t.Errorf("good keys are refused: %v", err)
	}
	var err error
	if !waitFor(func() bool { err = call(); return err != nil }) || mcpsec.AsDenial(err).Code != "creds.unavailable" {
		t.Errorf("dead keys, or %v", err)
	}
	down.Store(false)
	if !waitFor(func() bool { <-time.After(10 * time.Millisecond); return call() == nil }) {
		t.Error("does not recover")
	}
}
