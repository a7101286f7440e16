package aws

import (
	"context"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/mcpsec/mcpsec-go/creds"
)

// BenchmarkRetrieve is what a client of the SDK pays for keys that are there: from the
// handle of a call, beside the SDK's own cache.
func BenchmarkRetrieve(b *testing.B) {
	c := newCloud(b)
	in := c.injector(b, c.grant())
	b.Run("handle", func(b *testing.B) {
		err := run(b.Context(), in, alice(), `{}`, func(ctx context.Context) error {
			config, err := Config(ctx)
			if err != nil {
				return err
			}
			return loop(ctx, b, config.Credentials)
		})
		if err != nil {
			b.Fatal(err)
		}
	})
	b.Run("sdk_cache", func(b *testing.B) {
		cache := awssdk.NewCredentialsCache(awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
			return keysUntil("ASIA", time.Now().Add(time.Hour)), nil
		}))
		if err := loop(b.Context(), b, cache); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("base", func(b *testing.B) {
		if err := loop(b.Context(), b, user()); err != nil {
			b.Fatal(err)
		}
	})
}

func loop(ctx context.Context, b *testing.B, p awssdk.CredentialsProvider) error {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Retrieve(ctx); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkPlan is what each call pays before its credential is looked up.
func BenchmarkPlan(b *testing.B) {
	for name, opts := range map[string][]Option{
		"fixed":    {SessionPolicy(readLogs), SharedSession()},
		"caller":   {SessionPolicy(readLogs), PrincipalTag("who", Identity)},
		"argument": {SessionPolicy(one("arn:aws:s3:::b/{{arg.k | segment 9}}"))},
	} {
		r := offline(b, opts...)
		q := request(`{"k":"a","other":[1,2,3]}`)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Plan(creds.Spec{}, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
