package aws

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/mcpsec/mcpsec-go/creds"
)

const providerName = "aws"

// Issue implements [creds.Provider].
func (r *role) Issue(ctx context.Context, _ creds.Spec, q creds.Request) (creds.Material, error) {
	if r.faults != nil {
		return creds.Material{}, r.Check(creds.Spec{})
	}
	s, err := r.session(q)
	if err != nil {
		return creds.Material{}, err
	}
	k, err := r.exchange(ctx, &s)
	if err != nil {
		return creds.Material{}, err
	}
	return r.material(&k, &s)
}

// An answer is what STS issued, checked.
type answer struct {
	awssdk.Credentials
	session string // its ARN
	use     int    // of the space of a session token, in percent
}

// exchange asks STS. Its errors hold nothing that STS or the SDK said in words.
func (r *role) exchange(ctx context.Context, s *session) (answer, error) {
	var c clock
	ctx = context.WithValue(ctx, clockKey{}, &c)
	out, err := r.ask(ctx, s)
	if wrong := c.check(); wrong != nil {
		err = wrong
	}
	var a answer
	if err == nil {
		a, err = r.judge(out, s, &c)
	}
	if err != nil {
		return answer{}, r.failure(err)
	}
	return a, nil
}

// ask makes the request, with or without a base.
func (r *role) ask(ctx context.Context, s *session) (*sts.AssumeRoleOutput, error) {
	seconds := int32(r.duration / time.Second) //nolint:gosec // at most 12 hours
	var managed []types.PolicyDescriptorType
	for i := range r.managed {
		managed = append(managed, types.PolicyDescriptorType{Arn: &r.managed[i]})
	}
	if r.token != nil {
		token, err := r.token.read(r.now())
		if err != nil {
			return nil, err
		}
		out, err := r.client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: &r.arn.text, RoleSessionName: &s.name, WebIdentityToken: &token,
			DurationSeconds: &seconds, Policy: optional(s.policy), PolicyArns: managed,
		})
		if err != nil {
			return nil, err
		}
		return &sts.AssumeRoleOutput{
			Credentials: out.Credentials, AssumedRoleUser: out.AssumedRoleUser, SourceIdentity: out.SourceIdentity,
			PackedPolicySize:        out.PackedPolicySize, //nolint:staticcheck // see judge
			SessionTokenUtilization: out.SessionTokenUtilization,
		}, nil
	}
	in := &sts.AssumeRoleInput{
		RoleArn: &r.arn.text, RoleSessionName: &s.name, DurationSeconds: &seconds, ExternalId: optional(r.external),
		Policy: optional(s.policy), PolicyArns: managed, SourceIdentity: optional(s.source), TransitiveTagKeys: r.transitive,
	}
	for i := range s.tags {
		in.Tags = append(in.Tags, types.Tag{Key: &s.tags[i].key, Value: &s.tags[i].value})
	}
	return r.client.AssumeRole(ctx, in)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

var keyID = regexp.MustCompile(`^[A-Z0-9]{16,128}$`)

// judge takes an answer only if it is whole, and is about what was asked.
func (r *role) judge(out *sts.AssumeRoleOutput, s *session, c *clock) (answer, error) {
	k := out.Credentials
	switch {
	case k == nil, k.Expiration == nil, k.Expiration.IsZero(), c.server.IsZero(),
		!keyID.MatchString(awssdk.ToString(k.AccessKeyId)),
		unlikely(awssdk.ToString(k.SecretAccessKey), 256), unlikely(awssdk.ToString(k.SessionToken), 16<<10):
		return answer{}, &fault{text: unreadable}
	}
	// The end is told in the server's time. A longer life than was asked for is none
	// that anybody accepted.
	life := min(k.Expiration.Sub(c.server), r.duration)
	if life <= 0 {
		return answer{}, faultf("STS issued keys that have ended already, at %s by its own clock", k.Expiration.UTC().Format(time.RFC3339))
	}
	a := answer{Credentials: awssdk.Credentials{
		AccessKeyID: *k.AccessKeyId, SecretAccessKey: *k.SecretAccessKey, SessionToken: *k.SessionToken,
		CanExpire: true, Expires: c.local.Add(life), Source: "mcpsec", AccountID: r.arn.account,
	}}
	want := "arn:" + r.arn.partition + ":sts::" + r.arn.account + ":assumed-role/" + r.arn.role + "/" + s.name
	a.session = want
	if got := assumed(out); got != want && (got != "" || r.endpoint == "") {
		return answer{}, faultf("STS issued keys for %q instead of %q: look for a proxy or another program at the endpoint", printable(got), want)
	}
	if got := awssdk.ToString(out.SourceIdentity); s.source != "" && got != s.source && (got != "" || r.endpoint == "") {
		return answer{}, faultf("STS issued keys for source identity %q instead of %q", printable(got), s.source)
	}
	if use := cmp.Or(out.SessionTokenUtilization, out.PackedPolicySize); use != nil { //nolint:staticcheck // an endpoint of before September 2026 has only the old one
		a.use = int(*use)
	}
	return a, nil
}

// unlikely reports whether a text is no key or token: those are of visible ASCII.
func unlikely(s string, most int) bool {
	if s == "" || len(s) > most {
		return true
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return true
		}
	}
	return false
}

func assumed(out *sts.AssumeRoleOutput) string {
	if out.AssumedRoleUser == nil {
		return ""
	}
	return awssdk.ToString(out.AssumedRoleUser.Arn)
}

// failure says what went wrong, and whether it would have for anybody.
func (r *role) failure(err error) error {
	text := "aws: role " + r.arn.text + ": " + tell(err)
	if e, ok := errors.AsType[smithy.APIError](err); ok && r.token != nil && e.ErrorCode() == "AccessDenied" {
		text = "aws: role " + r.arn.text + ": AccessDenied (the trust policy of the role must allow sts:AssumeRoleWithWebIdentity to the token's issuer, subject and audience)" + circumstances(err)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", text, context.Canceled)
	case outage(err):
		return fmt.Errorf("%s: %w", text, creds.ErrOutage)
	}
	return errors.New(text)
}

func outage(err error) bool {
	if _, ok := errors.AsType[*sourceError](err); ok {
		return true
	}
	if f, ok := errors.AsType[*fault](err); ok {
		return f.again
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		_, throttled := retry.DefaultThrottleErrorCodes[e.ErrorCode()]
		status, ok := errors.AsType[interface {
			error
			HTTPStatusCode() int
		}](err)
		return throttled || ok && (status.HTTPStatusCode() >= 500 || status.HTTPStatusCode() == 429)
	}
	return true // not reached, or not understood
}

// maxUse is how full a session token may be, in percent, before a note says so.
const maxUse = 80

// A document is how the keys are written for the handler: as a credential process of
// the AWS command line writes them.
type keyDocument struct {
	Version         int       `json:"Version"`
	AccessKeyID     string    `json:"AccessKeyId"`
	SecretAccessKey string    `json:"SecretAccessKey"`
	SessionToken    string    `json:"SessionToken"`
	Expiration      time.Time `json:"Expiration"`
}

func (r *role) material(a *answer, s *session) (creds.Material, error) {
	text, err := json.Marshal(keyDocument{ //nolint:gosec // what is issued is the secret itself
		1, a.AccessKeyID, a.SecretAccessKey, a.SessionToken, a.Expires.UTC(),
	})
	if err != nil {
		return creds.Material{}, fmt.Errorf("aws: %T", err)
	}
	defer clear(text)
	m := creds.Material{
		Secret: creds.NewValue(text), Parts: []creds.Value{creds.NewValue([]byte(a.SecretAccessKey)), creds.NewValue([]byte(a.SessionToken))},
		Expires: a.Expires, Version: a.AccessKeyID, Public: map[string]string{"region": r.region, "session": s.name},
	}
	m.Record.Provider, m.Record.Role, m.Record.KeyID = providerName, a.session, a.AccessKeyID
	if s.policy != "" {
		hash := sha256.Sum256([]byte(s.policy))
		m.Record.Policy = "sha256:" + hex.EncodeToString(hash[:])
	}
	if s.source != "" {
		m.Public["source_identity"] = s.source
	}
	if a.use > maxUse {
		m.Public["session_token_use"] = strconv.Itoa(a.use) + "%"
	}
	return m, nil
}
