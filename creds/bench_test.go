package creds_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// kept issues what is kept for an hour, under a plan that costs nothing.
type kept struct{}

func (kept) Plan(creds.Spec, creds.Request) (string, error) { return "plan", nil }

func (kept) Issue(context.Context, creds.Spec, creds.Request) (creds.Material, error) {
	return creds.Material{Secret: creds.NewValue([]byte("k")), Expires: time.Now().Add(time.Hour), Version: "1"}, nil
}

func wrap(tb testing.TB, p creds.Provider, handler func(context.Context) error) (run func() error) {
	tb.Helper()
	in := creds.New(creds.ForTool("t", creds.Named("n", p)))
	tb.Cleanup(func() { _ = in.Close() })
	res := &mcp.CallToolResult{}
	h := in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) { return res, handler(ctx) })
	call := &mcpsec.Call{ID: "c", Method: "tools/call", Tool: &mcpsec.Tool{Name: "t"}}
	ctx := context.Background()
	return func() error {
		_, err := h(ctx, call)
		return err
	}
}

func secret(ctx context.Context) error {
	_, err := creds.Secret(ctx, "n")
	return err
}

// BenchmarkGetWarm is what a handler pays for a credential that is in the cache, beside
// the cache of the AWS SDK, which knows one credential and no calls.
func BenchmarkGetWarm(b *testing.B) {
	b.Run("creds", func(b *testing.B) {
		err := wrap(b, kept{}, func(ctx context.Context) error {
			h, err := creds.From(ctx)
			if err != nil {
				return err
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Get(ctx, "n"); err != nil {
					return err
				}
			}
			return nil
		})()
		if err != nil {
			b.Fatal(err)
		}
	})
	b.Run("aws.CredentialsCache", func(b *testing.B) {
		ctx := context.Background()
		cache := aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b", CanExpire: true, Expires: time.Now().Add(time.Hour)}, nil
		}))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := cache.Retrieve(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCall is what the control adds to a call: one allocation for its context, and
// what is asked for.
func BenchmarkCall(b *testing.B) {
	for name, test := range map[string]struct {
		p       creds.Provider
		handler func(context.Context) error
	}{
		"asks for nothing":            {kept{}, func(context.Context) error { return nil }},
		"asks once, kept":             {kept{}, secret},
		"asks once, static":           {creds.Static([]byte("k")), secret},
		"asks once, issued each time": {creds.ProviderFunc(kept{}.Issue), secret},
	} {
		b.Run(name, func(b *testing.B) {
			run := wrap(b, test.p, test.handler)
			b.ReportAllocs()
			for b.Loop() {
				if err := run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A credential that is in the cache costs a call no allocation, the first time it is
// asked for and afterwards.
func TestWarmGetDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("reason: the race detector allocates by itself")
	}
	for name, p := range map[string]creds.Provider{"kept": kept{}, "static": creds.Static([]byte("k"))} {
		first, nothing := wrap(t, p, secret), wrap(t, p, func(context.Context) error { return nil })
		per := func(run func() error) float64 {
			return testing.AllocsPerRun(100, func() {
				if err := run(); err != nil {
					t.Error(err)
				}
			})
		}
		if asking, not := per(first), per(nothing); asking != not {
			t.Errorf("%s: a call that asks once allocates %v times, one that does not %v", name, asking, not)
		}
		err := wrap(t, p, func(ctx context.Context) error {
			if allocs := per(func() error { return secret(ctx) }); allocs != 0 {
				t.Errorf("%s: %v allocations for asking again", name, allocs)
			}
			return nil
		})()
		if err != nil {
			t.Error(err)
		}
	}
}
