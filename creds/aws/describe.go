package aws

import (
	"context"
	"fmt"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// Describe implements [creds.Describer]: what the request would be allowed, as far as
// this configuration tells. What the role itself allows is known to IAM alone.
func (r *role) Describe(_ creds.Spec, q creds.Request) (creds.Access, error) {
	if r.faults != nil {
		return creds.Access{}, r.Check(creds.Spec{})
	}
	s, err := r.session(q)
	if err != nil {
		return creds.Access{}, err
	}
	return r.describe(&s)
}

func (r *role) describe(s *session) (creds.Access, error) {
	a := creds.Access{Identity: r.arn.text, Lifetime: r.duration, Policy: s.policy}
	note := func(format string, args ...any) { a.Notes = append(a.Notes, fmt.Sprintf(format, args...)) }
	if s.policy != "" {
		var d document
		if err := strictjson.Decode([]byte(s.policy), maxTemplate, &d); err != nil {
			return creds.Access{}, fmt.Errorf("aws: the session policy: %w", err)
		}
		a.Rules = d.rules()
	}
	note("The session is called %s.", s.name)
	if s.source != "" {
		note("Its source identity is %s.", s.source)
	}
	for _, t := range s.tags {
		note("It has the tag %s=%s.", t.key, t.value)
		if t.of == Subject || t.of == Tenant || t.of == Client {
			note("The tag %s is the caller's %s alone: callers of two issuers may share it.", t.key, t.of)
		}
	}
	if len(r.managed) > 0 {
		note("It may do what these policies allow: %s.", strings.Join(r.managed, ", "))
	}
	if s.policy == "" && len(r.managed) == 0 {
		note("No session policy narrows it: it may do all that the role may do.")
	} else {
		note("It may do no more than the role itself, whatever is listed here.")
	}
	for _, rule := range a.Rules {
		for _, act := range rule.Actions {
			if !rule.Deny && strings.HasSuffix(act, ":*") {
				note("%s is every action of the service, also those that AWS adds later.", act)
			}
		}
	}
	return a, nil
}

// Probe implements [creds.Prober]: it assumes the role, asks who the keys are of, and
// forgets them. Placeholders and attributes of callers stand as made-up values, so
// that STS judges size and syntax; a trust policy that wants certain ones may refuse
// them. The session is called mcpsec-probe.
func (r *role) Probe(ctx context.Context, _ creds.Spec) (creds.Access, error) {
	if r.faults != nil {
		return creds.Access{}, r.Check(creds.Spec{})
	}
	s := session{name: "mcpsec-probe", source: r.source}
	if r.ofCaller {
		s.source = "mcpsec-probe"
	}
	for _, t := range r.tags {
		if t.of != 0 {
			t.value = "mcpsec-probe"
		}
		s.tags = append(s.tags, t)
	}
	s.policy, _ = r.policy.fill(func(p *placeholder) (string, error) { return p.sample(), nil }) // samples are never refused
	k, err := r.exchange(ctx, &s)
	if err != nil {
		return creds.Access{}, err
	}
	if err := r.identify(ctx, &k); err != nil {
		return creds.Access{}, err
	}
	a, err := r.describe(&s)
	if k.use > maxUse {
		a.Notes = append(a.Notes, fmt.Sprintf("Its policy and tags fill the session token to %d%%: shorten them.", k.use))
	}
	return a, err
}

// identify asks STS who the keys are of.
func (r *role) identify(ctx context.Context, k *answer) error {
	keys := credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretAccessKey, k.SessionToken)
	who, err := r.newClient(keys, false).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return r.failure(err)
	}
	if got := awssdk.ToString(who.Arn); got != k.session || awssdk.ToString(who.Account) != r.arn.account {
		return r.failure(faultf("the keys are of %q instead of %q", printable(got), k.session))
	}
	return nil
}
