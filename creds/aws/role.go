package aws

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/mcpsec/mcpsec-go/creds"
)

// DefaultName is the name of a grant without [As], which [Config] asks for.
const DefaultName = "aws"

// AssumeRole grants the keys of a role, narrowed by a session policy or session tags,
// for 15 minutes (sts:AssumeRole). The base ([Using]), which alone may assume the role,
// and the region ([Region]) must be given; so must a session policy, managed policies,
// a tag of the caller ([PrincipalTag]) that the role's own policy asks for, or
// [Unrestricted].
//
// Which role, account, region, endpoint and external id it is comes from here alone.
// What is wrong with it, [mcpsec.New] reports.
func AssumeRole(arn string, opts ...Option) creds.Grant {
	return newRole(arn, nil, opts).grant()
}

// AssumeRoleWithWebIdentity is AssumeRole without a base: the workload's own identity
// token (OIDC), as Kubernetes and CI services write it to a file, is exchanged for the
// role's keys. The file is read for each exchange. Audience is the one that the token
// must be for, most often "sts.amazonaws.com"; a token for anybody else is not sent.
//
// The token is the workload's: never the one with which a caller authenticated.
// Session tags and source identity come from its claims, so options that set them are
// refused. The session is not chained and may last as long as the role allows.
func AssumeRoleWithWebIdentity(arn, tokenFile, audience string, opts ...Option) creds.Grant {
	return newRole(arn, &tokenFileOf{path: tokenFile, audience: audience}, opts).grant()
}

// A role is a provider of keys for one role.
type role struct {
	arn       arn
	name      string
	base      *Base
	token     *tokenFileOf // instead of a base
	region    string
	endpoint  string
	transport http.RoundTripper
	accounts  []string
	external  string
	duration  time.Duration
	maximum   time.Duration

	policyText string
	allow      wide
	policy     *template
	managed    []string
	tags       []tag
	transitive []string
	inherited  []string
	source     string // fixed source identity
	ofCaller   bool   // source identity is the caller
	shared     bool   // one session for all callers
	full       bool   // no narrowing is wanted

	faults []error
	now    func() time.Time
	wire   *wire
	client *sts.Client
	digest [32]byte // of what no request changes
	plans  [planSlots]atomic.Pointer[planned]
}

var (
	_ creds.Planner   = (*role)(nil)
	_ creds.Checker   = (*role)(nil)
	_ creds.Describer = (*role)(nil)
	_ creds.Prober    = (*role)(nil)
	_ io.Closer       = (*role)(nil)
)

func newRole(text string, token *tokenFileOf, opts []Option) *role {
	r := &role{name: DefaultName, token: token, duration: minDuration, maximum: time.Hour, now: time.Now}
	r.arn = parseARN(text)
	for _, o := range opts {
		if o == nil {
			r.faultf("a nil Option")
			continue
		}
		o(r)
	}
	r.validate()
	r.digest = r.constant()
	r.wire = newWire(r.transport, func() time.Time { return r.now() })
	r.client = r.newClient(r.base, r.token != nil)
	return r
}

func (r *role) grant() creds.Grant { return creds.Named(r.name, r, creds.With("role", r.arn.text)) }

// newClient returns a client of STS. It is asked at its regional endpoint alone; its
// one retry is for a connection that broke, and the rest is left to who asked.
func (r *role) newClient(keys awssdk.CredentialsProvider, anonymous bool) *sts.Client {
	o := sts.Options{
		Region: r.region, HTTPClient: r.wire, Retryer: brief(),
		Credentials: keys, Logger: silent{},
	}
	if anonymous {
		o.Credentials = awssdk.AnonymousCredentials{}
	}
	if r.endpoint != "" {
		o.BaseEndpoint = &r.endpoint
	}
	return sts.New(o)
}

// Format writes the role for every verb.
func (r *role) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, "[aws role "+printable(r.arn.text)+"]") // fmt keeps the error, if any
}

// Close closes idle connections. Sessions that were issued end by themselves: STS
// cannot recall them.
func (r *role) Close() error {
	r.wire.next.CloseIdleConnections()
	return nil
}
