package aws

import (
	"fmt"
	"net/http"
	"time"
)

// An Option says more of a role that is assumed.
type Option func(*role)

func (r *role) faultf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf(format, args...))
}

// As names the credential, for tools that have several. Without it the name is
// [DefaultName].
func As(name string) Option { return func(r *role) { r.name = name } }

// Using says with which identity the role is assumed.
func Using(base *Base) Option { return func(r *role) { r.base = base } }

// Region says which STS is asked, and is the region of the handler's [Config].
func Region(name string) Option { return func(r *role) { r.region = name } }

// Endpoint asks another STS than that of the region: a VPC endpoint, or a service with
// the same API. It is a URL of https, or of http on the loopback. Such a service may
// leave out of its answers the names of session and source identity; if it has them,
// they must be right. It is the endpoint of STS alone: a handler gives its clients the
// endpoints of their own services, with their BaseEndpoint.
func Endpoint(url string) Option { return func(r *role) { r.endpoint = url } }

// Transport sends requests to STS through rt, for a proxy or an own certificate
// authority. Without it no proxy is used: the environment is not asked for one. The
// clients of a handler do not use it: a handler sets the HTTPClient of its [Config].
func Transport(rt http.RoundTripper) Option { return func(r *role) { r.transport = rt } }

// AllowAccounts refuses a role of any other account, so that a mistaken ARN does no
// harm.
func AllowAccounts(ids ...string) Option {
	return func(r *role) {
		if len(ids) == 0 {
			r.faultf("aws.AllowAccounts: allows none: name the account of the role, or leave the option out to allow any")
		}
		r.accounts = append(r.accounts, ids...)
	}
}

// SessionPolicy narrows the role to what the policy allows: what both allow is allowed.
// It is a JSON document of IAM with placeholders in the resources and conditions of
// what it allows; see the package's documentation.
func SessionPolicy(template string) Option {
	return func(r *role) {
		if r.policyText != "" {
			r.faultf("SessionPolicy is given twice: a session has one; give the statements together")
		}
		if template == "" {
			r.faultf("SessionPolicy: is empty")
		}
		r.policyText = template
	}
}

// AllowWildcardActions accepts a session policy that allows every action, or those that
// end in something.
func AllowWildcardActions() Option { return func(r *role) { r.allow.actions = true } }

// AllowWildcardResources accepts a session policy that allows actions on every
// resource, as those need that know none; on every resource of a kind, such as table/*;
// in every region or account; and where whoever makes the request has chosen what a
// policy variable is, such as ${s3:prefix}.
func AllowWildcardResources() Option { return func(r *role) { r.allow.resources = true } }

// PolicyARNs narrows the role to what managed policies of its account allow, up to 10.
func PolicyARNs(arns ...string) Option {
	return func(r *role) {
		if len(arns) == 0 {
			r.faultf("aws.PolicyARNs: names none, so that nothing would be narrowed: leave the option out if that is meant")
		}
		r.managed = append(r.managed, arns...)
	}
}

// Unrestricted accepts that the tool gets all that the role may do. It is right for a
// role that was made for this one tool.
func Unrestricted() Option { return func(r *role) { r.full = true } }

// Tag gives the session a tag, which policies know as aws:PrincipalTag/KEY. It narrows
// nothing by itself.
func Tag(key, value string) Option {
	return func(r *role) { r.tags = append(r.tags, tag{key: key, value: value}) }
}

// PrincipalTag gives the session a tag with an attribute of the caller. A caller who
// does not have it, or one that a tag cannot hold, gets no credential; nor does one
// whose attribute has slashes or colons, if the session policy makes it part of a
// resource, where it could lie inside another's. Policies of the role are not known
// here: use Identity for them.
func PrincipalTag(key string, of Attribute) Option {
	return func(r *role) { r.tags = append(r.tags, tag{key: key, of: of}) }
}

// TransitiveTags makes tags stay when the session assumes a further role.
func TransitiveTags(keys ...string) Option {
	return func(r *role) { r.transitive = append(r.transitive, keys...) }
}

// InheritedTags says which transitive tags the base's own session has. STS refuses a
// session with a tag of the same name, in whatever case; with this the start does.
func InheritedTags(keys ...string) Option {
	return func(r *role) { r.inherited = append(r.inherited, keys...) }
}

// SourceIdentity names the session's origin in CloudTrail, where no later role can
// change it. A base whose own session has one can set no other.
func SourceIdentity(name string) Option {
	return func(r *role) {
		if r.source = name; name == "" {
			r.faultf("SourceIdentity: is empty; leave the option out for none")
		}
	}
}

// PrincipalSourceIdentity makes the caller the session's source identity, written as
// in the session's name. A caller who is not identified gets no credential.
func PrincipalSourceIdentity() Option { return func(r *role) { r.ofCaller = true } }

// ExternalID is what the owner of a role in another account wants to be told, against
// a confused deputy.
func ExternalID(id string) Option {
	return func(r *role) {
		if r.external = id; id == "" {
			r.faultf("ExternalID: is empty; leave the option out for none")
		}
	}
}

// Duration is how long a session lives: 15 minutes without it, which is the least. STS
// cannot end a session early, so longer ones are for tools that run longer. More than
// an hour cannot be had with a base that is itself a role.
func Duration(d time.Duration) Option { return func(r *role) { r.duration = d } }

// RoleMaximum is the longest session that the role is configured for: an hour without
// it, which is what IAM gives a new role.
func RoleMaximum(d time.Duration) Option { return func(r *role) { r.maximum = d } }

// SharedSession lets all callers of a tool work in one session. Without it each has its
// own, named for the caller, so that CloudTrail tells them apart; it costs a request
// to STS for each caller and quarter of an hour. What differs by tags, source identity
// or policy is never shared.
func SharedSession() Option { return func(r *role) { r.shared = true } }
