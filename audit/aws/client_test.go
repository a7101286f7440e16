package aws

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

func TestNothingGoesOutUnencrypted(t *testing.T) {
	t.Parallel()
	sent := 0
	config := awssdk.Config{
		Region: fakeaws.Region, Credentials: awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) { return fakeaws.Keys, nil }),
		HTTPClient: httpFunc(func(*http.Request) (*http.Response, error) { sent++; return nil, errFormat }),
		// As a shared configuration file or the environment would set it.
		EndpointResolverWithOptions: awssdk.EndpointResolverWithOptionsFunc(func(_, _ string, _ ...any) (awssdk.Endpoint, error) { //nolint:staticcheck // still obeyed by the SDK
			return awssdk.Endpoint{URL: "http://kinesis.example"}, nil //nolint:staticcheck // see above
		}),
	}
	d, err := NewKinesis(config, KinesisConfig{Stream: "audit"})
	must(t, err)
	hurry(t, &d.sender)
	if _, err := d.Deliver(t.Context(), calls(1)); err == nil || !strings.Contains(err.Error(), "not https") || sent > 0 {
		t.Fatalf("%v, %d sent", err, sent)
	}
}

type httpFunc func(*http.Request) (*http.Response, error)

func (f httpFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for name, client := range map[string]func() awssdk.HTTPClient{
		"own":           func() awssdk.HTTPClient { return nil },
		"of the SDK":    func() awssdk.HTTPClient { return awshttp.NewBuildableClient() },
		"of the caller": func() awssdk.HTTPClient { return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, build := range rigs {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was followed") }))
					t.Cleanup(thief.Close)
					r := build(t, setting{config: func(c *awssdk.Config) { c.HTTPClient = client() }})
					r.server.Inject(r.operation, func(_ *fakeaws.Server, _ http.Handler) http.Handler {
						return http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect)
					})
					if _, err := r.destination.Deliver(t.Context(), calls(2)); err == nil {
						t.Error("no error")
					}
				})
			}
		})
	}
}

// The default client checks certificates.
func TestAnEndpointMustProveWhoItIs(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			impostor := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was told something") }))
			impostor.Config.ErrorLog = log.New(io.Discard, "", 0)
			impostor.StartTLS()
			t.Cleanup(impostor.Close)
			r := build(t, setting{config: func(c *awssdk.Config) { c.HTTPClient, c.BaseEndpoint = nil, &impostor.URL }})
			_, err := r.destination.Deliver(t.Context(), calls(2))
			if err == nil || !strings.Contains(err.Error(), "not reached: tls: failed to verify certificate") {
				t.Fatal(err)
			}
		})
	}
}
