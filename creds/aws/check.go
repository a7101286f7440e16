package aws

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
)

// The limits of STS.
const (
	minDuration = 15 * time.Minute
	maxChained  = time.Hour
	maxDuration = 12 * time.Hour
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
	maxManaged  = 10
)

var (
	regionName   = regexp.MustCompile(`^[a-z]{2,8}(-[a-z0-9]{1,16}){2,4}$`)
	accountID    = regexp.MustCompile(`^\d{12}$`)
	rolePath     = regexp.MustCompile(`^role/([\x21-\x7e]{0,510}/)?([\w+=,.@-]{1,64})$`)
	managedARN   = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::([0-9]{12}|aws):policy/[\x21-\x7e]{1,512}$`)
	stsName      = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalName = regexp.MustCompile(`^[\w+=,.@:/-]+$`)
	partitions   = []string{"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}
)

// An arn is that of a role, taken apart.
type arn struct{ text, partition, account, role string }

func parseARN(text string) arn {
	a := arn{text: text}
	parts := strings.SplitN(text, ":", 6)
	if len(parts) < 6 || len(text) > 2048 || parts[0] != "arn" || parts[2] != "iam" || parts[3] != "" ||
		!slices.Contains(partitions, parts[1]) || !accountID.MatchString(parts[4]) {
		return a
	}
	if m := rolePath.FindStringSubmatch(parts[5]); m != nil {
		a.partition, a.account, a.role = parts[1], parts[4], m[2]
	}
	return a
}

// Check reports everything that STS would refuse, as far as configuration tells.
func (r *role) Check(creds.Spec) error { return errors.Join(r.faults...) }

// validate collects the faults of a configuration. Each names its option.
func (r *role) validate() {
	if r.arn.role == "" {
		r.faultf("aws.AssumeRole: %q is no ARN of a role: need arn:PARTITION:iam::ACCOUNT:role/NAME", printable(r.arn.text))
	}
	for _, id := range r.accounts {
		if !accountID.MatchString(id) {
			r.faultf("aws.AllowAccounts: %q: an account has 12 digits", printable(id))
		}
	}
	if len(r.accounts) > 0 && r.arn.role != "" && !slices.Contains(r.accounts, r.arn.account) {
		r.faultf("aws.AllowAccounts: the role is in account %s, which is not allowed: correct the ARN or allow the account", r.arn.account)
	}
	r.validatePlace()
	r.validateBase()
	r.validateDuration()
	r.validatePolicy()
	r.validateTags()
	switch {
	case r.source == "":
	case r.ofCaller:
		r.faultf("aws.SourceIdentity: the caller is the source identity already: leave out one of the two options")
	case !stsName.MatchString(r.source):
		r.faultf("aws.SourceIdentity: %q: need 2 to 64 letters, digits and _ + = , . @ -", printable(r.source))
	}
	if n := len(r.external); n > 0 && (n < 2 || n > 1224 || !externalName.MatchString(r.external)) {
		r.faultf("aws.ExternalID: need 2 to 1224 letters, digits and _ + = , . @ : / -")
	}
}

func (r *role) validatePlace() {
	switch china, gov := strings.HasPrefix(r.region, "cn-"), strings.HasPrefix(r.region, "us-gov-"); {
	case r.region == "":
		r.faultf("aws.Region: is missing: STS is asked where the tool works, never at a global endpoint")
	case !regionName.MatchString(r.region):
		r.faultf("aws.Region: %q is no name of a region, such as eu-central-1", printable(r.region))
	case r.arn.role != "" && (china != (r.arn.partition == "aws-cn") || gov != (r.arn.partition == "aws-us-gov")):
		r.faultf("aws.Region: %s is not in partition %s, where the role is", r.region, r.arn.partition)
	}
	if r.endpoint == "" {
		return
	}
	u, err := url.Parse(r.endpoint)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		r.faultf("aws.Endpoint: need a URL of scheme and host, without user and query")
	case secure(u) != nil:
		r.faultf("aws.Endpoint: is not https: whoever listens could use what is issued; http is for the loopback only")
	}
}

func (r *role) validateBase() {
	if r.token == nil {
		if err := r.base.Check(); err != nil {
			r.faultf("aws.Using: %w", err)
		}
		return
	}
	if r.base != nil {
		r.faultf("aws.Using: a web identity needs no base: leave the option out")
	}
	if len(r.tags) > 0 || r.source != "" || r.ofCaller || len(r.transitive) > 0 || r.external != "" {
		r.faultf("aws.AssumeRoleWithWebIdentity: tags and source identity of such a session come from the claims of its token, and there is no external id: leave out those options, or use the session as a base (WebIdentity) for AssumeRole")
	}
	if err := r.token.check(); err != nil {
		r.faultf("aws.AssumeRoleWithWebIdentity: %w", err)
	}
}

func (r *role) validateDuration() {
	switch {
	case r.duration%time.Second != 0:
		r.faultf("aws.Duration: %v is not a number of seconds", r.duration)
	case r.duration < minDuration:
		r.faultf("aws.Duration: %v is less than 15 minutes, the least that STS issues", r.duration)
	case r.duration > maxDuration:
		r.faultf("aws.Duration: %v is more than 12 hours, the most that STS issues", r.duration)
	case r.duration > maxChained && r.token == nil && (r.base == nil || !r.base.user):
		r.faultf("aws.Duration: %v is more than an hour, which STS refuses where one role assumes another; the base is a role unless it is an IAM user's access key", r.duration)
	case r.duration > r.maximum:
		r.faultf("aws.Duration: %v is more than %v, the maximum session of the role: raise it there and with RoleMaximum, or ask for less", r.duration, r.maximum)
	}
	if r.maximum < time.Hour || r.maximum > maxDuration {
		r.faultf("aws.RoleMaximum: %v is not between 1 and 12 hours", r.maximum)
	}
}

func (r *role) validatePolicy() {
	if r.policyText != "" {
		t, err := parseTemplate(r.policyText, r.allow)
		if err != nil {
			r.faultf("aws.SessionPolicy: %w", err)
		}
		r.policy = t
	}
	size := 0
	if r.policy != nil {
		size = r.policy.longest
	}
	for i, a := range r.managed {
		size += length(a)
		if !r.ownPolicy(managedARN.FindStringSubmatch(a)) {
			r.faultf("aws.PolicyARNs: %q: need the ARN of a policy of AWS or of the role's own account", printable(a))
		}
		if slices.Contains(r.managed[:i], a) {
			r.faultf("aws.PolicyARNs: %q is given twice", printable(a))
		}
	}
	if len(r.managed) > maxManaged {
		r.faultf("aws.PolicyARNs: %d are given, and STS takes %d", len(r.managed), maxManaged)
	}
	if size > maxPolicy {
		r.faultf("aws.PolicyARNs: the session policy and these ARNs have up to %d characters together, and STS takes %d", size, maxPolicy)
	}
	narrowed := r.policyText != "" || len(r.managed) > 0
	switch {
	case r.full && narrowed:
		r.faultf("aws.Unrestricted: the session has policies: leave out one of the two")
	case !r.full && !narrowed && !slices.ContainsFunc(r.tags, func(t tag) bool { return t.of != 0 }):
		r.faultf("aws.AssumeRole: nothing narrows the role: give a SessionPolicy, PolicyARNs or a PrincipalTag that the role's policy asks for, or accept all of it with Unrestricted")
	}
}

// ownPolicy reports whether a managed policy is one of AWS or of the role's account.
func (r *role) ownPolicy(parts []string) bool {
	if len(parts) != 3 {
		return false
	}
	return r.arn.role == "" || parts[1] == r.arn.partition && (parts[2] == r.arn.account || parts[2] == "aws")
}

func (r *role) validateTags() {
	if len(r.tags) > maxTags {
		r.faultf("aws.Tag: %d are given, and STS takes %d", len(r.tags), maxTags)
	}
	seen := make(map[string]bool)
	for _, t := range r.tags {
		key := strings.ToLower(t.key)
		if err := t.check(); err != nil {
			r.faultf("aws.Tag: %q: %w", printable(t.key), err)
		}
		if seen[key] {
			r.faultf("aws.Tag: %q is given twice: case makes no difference", printable(t.key))
		}
		seen[key] = true
		if slices.ContainsFunc(r.inherited, func(k string) bool { return strings.EqualFold(k, t.key) }) {
			r.faultf("aws.Tag: %q is a transitive tag of the base's own session, and STS refuses to set it again: use another key", printable(t.key))
		}
	}
	for _, key := range r.transitive {
		if !seen[strings.ToLower(key)] {
			r.faultf("aws.TransitiveTags: %q is no tag of this session: add it with Tag or PrincipalTag", printable(key))
		}
	}
}

var tagText = regexp.MustCompile(`^[\p{L}\p{N} _.:/=+@-]*$`)

// check judges a tag, and its value if that is known.
func (t tag) check() error {
	switch {
	case t.key == "" || length(t.key) > maxTagKey:
		return fmt.Errorf("a key has 1 to %d characters", maxTagKey)
	case !tagText.MatchString(t.key):
		return errors.New("a key has only letters, digits, spaces and _ . : / = + - @")
	case strings.HasPrefix(strings.ToLower(t.key), "aws:"):
		return errors.New("keys that begin with aws: are AWS's own")
	case t.of != 0 && (t.of < Issuer || t.of > Identity):
		return fmt.Errorf("unknown %v of a principal", t.of)
	}
	return tagValue(t.value)
}

func tagValue(v string) error {
	switch {
	case length(v) > maxTagValue:
		return fmt.Errorf("a value has at most %d characters", maxTagValue)
	case !tagText.MatchString(v):
		return errors.New("a value has only letters, digits, spaces and _ . : / = + - @")
	}
	return nil
}
