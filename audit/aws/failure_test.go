package aws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

// tellsNothing fails the test if an error holds a part of the credentials, or what
// could forge a line, in any way it can be printed.
func tellsNothing(t *testing.T, err error) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		text := fmt.Sprintf(verb, err)
		for _, secret := range []string{fakeaws.Keys.SecretAccessKey, fakeaws.Keys.SessionToken, fakeaws.Keys.AccessKeyID} {
			if strings.Contains(text, secret) {
				t.Errorf("%s tells a secret: %s", verb, text)
			}
		}
		if strings.ContainsAny(text, "\n\r\x1b") || len(text) > 1500 {
			t.Errorf("%s is no line of bounded length: %.2000q", verb, text)
		}
	}
	if _, ok := errors.AsType[smithy.APIError](err); ok {
		t.Error("the service's own error can be unwrapped")
	}
}

func TestErrorsOfCredentialsTellNoSecret(t *testing.T) {
	t.Parallel()
	wrong := fakeaws.Keys
	wrong.SecretAccessKey += "x"
	stranger := fakeaws.Keys
	stranger.AccessKeyID = "AKIASTRANGER"
	for name, tc := range map[string]struct {
		keys  awssdk.Credentials
		fault error
		says  string
	}{
		// The fake answers this one with the canonical request, session token included.
		"wrong secret":   {keys: wrong, says: "InvalidSignatureException (wrong secret key"},
		"unknown key":    {keys: stranger, says: "UnrecognizedClientException (the access key is unknown here"},
		"empty keys":     {says: "cannot be had"},
		"provider fails": {fault: fmt.Errorf("profile %s: %w", fakeaws.Keys.SecretAccessKey, errFormat), says: "cannot be had (*errors.errorString)"},
		"provider fails at STS": {
			fault: fmt.Errorf("assume role: %w", &smithy.GenericAPIError{Code: "AccessDenied", Message: fakeaws.Keys.SessionToken}), says: "cannot be had (AccessDenied)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			provide := func(c *awssdk.Config) {
				c.Credentials = awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) { return tc.keys, tc.fault })
			}
			t.Parallel()
			for name, build := range rigs {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					r := build(t, setting{config: provide})
					_, err := r.destination.Deliver(t.Context(), calls(2))
					if err == nil || !strings.Contains(err.Error(), tc.says) {
						t.Fatalf("want %q, got %v", tc.says, err)
					}
					tellsNothing(t, err)
				})
			}
		})
	}
}

func TestADestinationPrintsNoSecret(t *testing.T) {
	provide := func(c *awssdk.Config) {
		c.Credentials = credentials.NewStaticCredentialsProvider(fakeaws.Keys.AccessKeyID, fakeaws.Keys.SecretAccessKey, fakeaws.Keys.SessionToken)
	}
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{config: provide})
			r.deliver(t, calls(1))
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
				if text := fmt.Sprintf(verb, r.destination); text != r.destination.core().what {
					t.Errorf("%s: %.300s", verb, text)
				}
			}
		})
	}
}

// The SDK would log bodies and headers, and the log may be one that is recorded.
func TestTheSDKLogsNothingOfARequest(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{config: func(c *awssdk.Config) {
				c.ClientLogMode = awssdk.LogRequestWithBody | awssdk.LogResponseWithBody | awssdk.LogRetries | awssdk.LogSigning
				c.Logger = logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) { t.Errorf("logged: "+format, v...) })
			}})
			r.server.Inject(r.operation, fakeaws.Throttle())
			r.deliver(t, calls(2))
		})
	}
}

func TestErrorsOfTheNetworkSayWhat(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault error
		says  string
	}{
		"no such host": {&net.DNSError{Err: "no such host", Name: "logs.eu-central-1.amazonaws.com", IsNotFound: true}, "not reached: lookup logs.eu-central-1.amazonaws.com: no such host"},
		"evil text":    {errors.New("reset\r\nlevel=info msg=fine \x1b[2J"), `not reached: reset\r\nlevel=info msg=fine \x1b[2J`},
		"long text":    {errors.New(strings.Repeat("x", 10_000)), "not reached: xxx"},
	} {
		t.Run(name, func(t *testing.T) {
			fail := func(c *awssdk.Config) {
				c.HTTPClient = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, tc.fault })}
			}
			t.Parallel()
			for name, build := range rigs {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					r := build(t, setting{config: fail})
					_, err := r.destination.Deliver(t.Context(), calls(2))
					if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "channelArn=") {
						t.Fatalf("want %q, got %v", tc.says, err)
					}
					tellsNothing(t, err)
				})
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestFaultsOfAConfigurationAreSaidAtOnce(t *testing.T) {
	t.Parallel()
	arn := fakeaws.NewCloudTrail("audit").Channel
	good := awssdk.Config{Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("id", "key", "")}
	with := func(change func(*awssdk.Config)) awssdk.Config {
		c := good.Copy()
		change(&c)
		return c
	}
	kinesis := func(c awssdk.Config, k KinesisConfig) error { _, err := NewKinesis(c, k); return err }
	for name, tc := range map[string]struct {
		err  error
		says []string // none: no fault
	}{
		"good":        {kinesis(good, KinesisConfig{Stream: "a"}), nil},
		"good by ARN": {kinesis(good, KinesisConfig{Stream: "arn:aws:kinesis:eu-central-1:123456789012:stream/a"}), nil},
		"all at once": {kinesis(awssdk.Config{}, KinesisConfig{MaxRecord: 5}), []string{"aws.Config.Region", "aws.Config.Credentials", "KinesisConfig.Stream", "KinesisConfig.MaxRecord"}},
		"region that is a host": {
			kinesis(with(func(c *awssdk.Config) { c.Region = "evil.example/" }), KinesisConfig{Stream: "a"}), []string{"aws.Config.Region"},
		},
		"anonymous": {
			kinesis(with(func(c *awssdk.Config) { c.Credentials = awssdk.AnonymousCredentials{} }), KinesisConfig{Stream: "a"}), []string{"aws.Config.Credentials"},
		},
		"endpoint in clear": {
			kinesis(with(func(c *awssdk.Config) { c.BaseEndpoint = awssdk.String("http://kinesis.example") }), KinesisConfig{Stream: "a"}), []string{"BaseEndpoint", "not https"},
		},
		"endpoint with password": {
			kinesis(with(func(c *awssdk.Config) { c.BaseEndpoint = awssdk.String("https://a:hunter2@kinesis.example") }), KinesisConfig{Stream: "a"}), []string{"BaseEndpoint"},
		},
		"firehose": {func() error { _, err := NewFirehose(good, FirehoseConfig{Stream: "a b"}); return err }(), []string{"FirehoseConfig.Stream"}},
		"logs": {
			func() error { _, err := NewLogs(good, LogsConfig{Group: "a:b", Stream: "*"}); return err }(), []string{"LogsConfig.Group", "LogsConfig.Stream"},
		},
		"channel": {func() error { _, err := NewCloudTrail(good, CloudTrailConfig{Channel: "x"}); return err }(), []string{"CloudTrailConfig.Channel"}},
		"channel elsewhere": {
			func() error {
				_, err := NewCloudTrail(with(func(c *awssdk.Config) { c.Region = "us-east-1" }), CloudTrailConfig{Channel: arn, ExternalID: "\n", EventSource: strings.Repeat("x", 2000)})
				return err
			}(), []string{"is in eu-central-1", "CloudTrailConfig.ExternalID", "CloudTrailConfig.EventSource"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if (tc.err == nil) != (len(tc.says) == 0) {
				t.Fatal(tc.err)
			}
			for _, says := range tc.says {
				if !strings.Contains(tc.err.Error(), says) {
					t.Errorf("want %q in %v", says, tc.err)
				}
			}
			if tc.err != nil && strings.Contains(tc.err.Error(), "hunter2") {
				t.Error(tc.err)
			}
		})
	}
}
