package aws

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

func TestKeysAreKeptAndRenewed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	asked := 0
	var next awssdk.Credentials
	var fault error
	k := &keys{now: func() time.Time { return now }, from: awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
		asked++
		return next, fault
	})}
	get := func(id string, times int) {
		t.Helper()
		got, err := k.Retrieve(t.Context())
		if got.AccessKeyID != id || asked != times || (err == nil) != (id != "") {
			t.Fatalf("got %q, %v, asked %d times; want %q, %d", got.AccessKeyID, err, asked, id, times)
		}
	}
	expiring := func(id string, in time.Duration) awssdk.Credentials {
		return awssdk.Credentials{AccessKeyID: id, SecretAccessKey: "s", CanExpire: true, Expires: now.Add(in)}
	}

	next = expiring("first", time.Hour)
	get("first", 1)
	get("first", 1)
	now = now.Add(58 * time.Minute)
	get("first", 1)

	// Within the last minute they are renewed; if that fails, they serve to their end.
	now, fault = now.Add(90*time.Second), errFormat
	get("first", 2)
	now = now.Add(30 * time.Second)
	get("", 3)
	fault, next = nil, awssdk.Credentials{CanExpire: true, Expires: now.Add(time.Hour)}
	get("", 4) // without keys

	next = expiring("second", time.Hour)
	get("second", 5)
	k.forget()
	next = expiring("third", time.Hour)
	get("third", 6)

	// What does not expire may change all the same.
	k.forget()
	next = awssdk.Credentials{AccessKeyID: "static", SecretAccessKey: "s"}
	get("static", 7)
	get("static", 8)
}

func TestRefusedKeysAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := awssdk.Credentials{AccessKeyID: "ASIAOLD", SecretAccessKey: "s", SessionToken: "t", CanExpire: true, Expires: time.Now().Add(time.Hour)}
			asked := 0
			r := build(t, setting{config: func(c *awssdk.Config) {
				c.Credentials = awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
					if asked++; asked == 1 {
						return old, nil
					}
					return fakeaws.Keys, nil
				})
			}})
			// The service has them end earlier than the provider said.
			known := old
			known.Expires = time.Now()
			r.server.Trust(known)
			if _, err := r.destination.Deliver(t.Context(), calls(2)); err == nil || !strings.Contains(err.Error(), "ExpiredTokenException") {
				t.Fatal(err)
			}
			r.deliver(t, calls(2))
		})
	}
}

// A provider that hangs is given up with the delivery, and asked anew by the next.
func TestAHangingProviderHoldsUpNoLaterDelivery(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			asked := 0
			r := build(t, setting{config: func(c *awssdk.Config) {
				c.Credentials = awssdk.CredentialsProviderFunc(func(ctx context.Context) (awssdk.Credentials, error) {
					if asked++; asked == 1 {
						cancel()
						<-ctx.Done()
						return awssdk.Credentials{}, ctx.Err()
					}
					return fakeaws.Keys, nil
				})
			}})
			if _, err := r.destination.Deliver(ctx, calls(2)); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			r.deliver(t, calls(2))
		})
	}
}
