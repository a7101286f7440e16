package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

const (
	id    = "1234abcd-12ab-34cd-56ef-1234567890ab"
	other = "1234abcd-12ab-34cd-56ef-1234567890ac"
	arn   = "arn:aws:kms:" + fakeaws.Region + ":" + fakeaws.Account + ":"
)

// service starts KMS with a key on P-256 under id and one on P-384 under other.
func service(t *testing.T) (*fakeaws.KeyManagement, *fakeaws.Server, []func(*config.LoadOptions) error) {
	t.Helper()
	k := fakeaws.NewKeyManagement()
	for name, curve := range map[string]elliptic.Curve{id: elliptic.P256(), other: elliptic.P384()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k.Add(name, map[string]string{id: "release", other: "wide"}[name], key)
	}
	s := fakeaws.New(t, k)
	c := s.Config(t)
	client := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.DisableKeepAlives = true }) // one that takes AWS_CA_BUNDLE
	return k, s, []func(*config.LoadOptions) error{
		config.WithRegion(c.Region), config.WithCredentialsProvider(c.Credentials), config.WithBaseEndpoint(*c.BaseEndpoint), config.WithHTTPClient(client),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil),
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	_, _, opts := service(t)
	for _, reference := range []string{"awskms:///" + id, "awskms:///alias/release", "awskms:///" + arn + "key/" + id, "awskms:///" + arn + "alias/release"} {
		t.Run(reference, func(t *testing.T) {
			t.Parallel()
			key, err := Open(t.Context(), reference, opts...)
			if err != nil {
				t.Fatal(err)
			}
			s, err := envelope.SignWith(key)
			if err != nil {
				t.Fatal(err)
			}
			bundle, err := s.Sign(t.Context(), envelope.PayloadType, []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			text, err := key.PublicPEM()
			if err != nil {
				t.Fatal(err)
			}
			public, err := envelope.ParseKey(text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := envelope.Open(t.Context(), bundle, envelope.Keys(public)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	k, _, opts := service(t)
	gone := strings.Replace(id, "1234", "4321", 1)
	for reference, why := range map[string]string{
		"awskms:///" + other:                  "not a key on P-256",
		"awskms:///" + gone:                   "NotFoundException",
		"awskms:///":                          "awskms://[ENDPOINT]",
		"gcpkms://projects/x":                 "awskms://[ENDPOINT]",
		"https://keys.example/release.key":    "awskms://[ENDPOINT]",
		"env://COSIGN_KEY":                    "awskms://[ENDPOINT]",
		"awskms:///" + id + "/../alias/other": "awskms://[ENDPOINT]",
	} {
		if _, err := Open(t.Context(), reference, opts...); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", reference, err, why)
		}
	}
	k.Disable(id)
	if _, err := Open(t.Context(), "awskms:///"+id, opts...); err == nil || !strings.Contains(err.Error(), "DisabledException") {
		t.Errorf("disabled key: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, "awskms:///"+id, opts...); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestUncheckedTLSIsRefused(t *testing.T) {
	t.Setenv("AWS_TLS_INSECURE_SKIP_VERIFY", "1")
	_, _, opts := service(t)
	if _, err := Open(t.Context(), "awskms:///"+id, opts...); err == nil || !strings.Contains(err.Error(), "unset it") {
		t.Errorf("%v", err)
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	k, server, opts := service(t)
	key, err := Open(t.Context(), "awskms:///"+id, opts...)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	for name, c := range map[string]struct {
		digest []byte
		opts   crypto.SignerOpts
	}{
		"no hash":           {digest[:], crypto.Hash(0)},
		"nil options":       {digest[:], nil},
		"another hash":      {digest[:], crypto.SHA384},
		"a short digest":    {digest[:20], crypto.SHA256},
		"a message, hashed": {[]byte("a message that is no digest at all"), crypto.SHA256},
	} {
		if _, err := key.Sign(nil, c.digest, c.opts); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if n := server.Requests("Sign"); n != 0 {
		t.Errorf("%d requests for what can be refused here", n)
	}
	k.Forge()
	if _, err := key.Sign(nil, digest[:], crypto.SHA256); err == nil || !strings.Contains(err.Error(), "not the key's") {
		t.Errorf("forged signature: %v", err)
	}
	k.Disable(id)
	if _, err := key.Sign(nil, digest[:], crypto.SHA256); err == nil || !strings.Contains(err.Error(), "DisabledException") {
		t.Errorf("disabled key: %v", err)
	}
}
