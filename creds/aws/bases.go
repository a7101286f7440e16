package aws

import (
	"context"
	"errors"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/mcpsec/mcpsec-go/creds"
)

// Keys returns a Base of the long-lived access key of an IAM user. Closing the Value
// ends the Base within an hour.
func Keys(id string, secret creds.Value) *Base {
	b := From(fixed{id: id, secret: secret})
	b.user = strings.HasPrefix(id, "AKIA")
	return b
}

// SessionKeys returns a Base of temporary keys that end at a known time, after which
// it refuses.
func SessionKeys(id string, secret, token creds.Value, expires time.Time) *Base {
	b := From(fixed{id: id, secret: secret, token: token, expires: expires})
	if token.Empty() || expires.IsZero() {
		b.fault = errors.New("aws.SessionKeys: need a session token and the time at which it ends")
	}
	return b
}

// fixed are keys that are in memory already.
type fixed struct {
	id            string
	secret, token creds.Value
	expires       time.Time
}

// Retrieve implements the SDK's CredentialsProvider.
func (f fixed) Retrieve(context.Context) (awssdk.Credentials, error) {
	secret, token := f.secret.Reveal(), f.token.Reveal()
	defer clear(secret)
	defer clear(token)
	return awssdk.Credentials{
		AccessKeyID: f.id, SecretAccessKey: string(secret), SessionToken: string(token),
		CanExpire: !f.expires.IsZero(), Expires: f.expires, Source: "mcpsec",
	}, nil
}

// WebIdentity returns a Base of the session of a role that the workload's identity
// token is exchanged for, for what has to assume further roles: into other accounts, or
// with session tags. The file is read for each exchange; see
// [AssumeRoleWithWebIdentity]. The server keeps all that the role may do to itself, so
// no policy is needed here.
func WebIdentity(arn, tokenFile, audience string, opts ...Option) *Base {
	r := newRole(arn, &tokenFileOf{path: tokenFile, audience: audience}, append([]Option{Unrestricted()}, opts...))
	b := From(awssdk.CredentialsProviderFunc(func(ctx context.Context) (awssdk.Credentials, error) {
		a, err := r.exchange(ctx, &session{name: legible("mcpsec", "base\x00"+arn)})
		return a.Credentials, err
	}))
	b.fault = r.Check(creds.Spec{})
	return b
}
