package bindings

import (
	"bytes"
	"maps"
	"slices"

	"github.com/mcpsec/mcpsec-go/creds/aws"
)

// attributes of a caller, as a template names them.
var attributes = map[string]aws.Attribute{
	"issuer": aws.Issuer, "subject": aws.Subject, "tenant": aws.Tenant, "client": aws.Client, "identity": aws.Identity,
}

// narrowing returns the options that say what the role's session may do.
func (r *awsRole) narrowing(d *decoder, at place) (opts []aws.Option) {
	if policy := bytes.TrimSpace(r.SessionPolicy); len(policy) > 0 {
		if policy[0] != '{' {
			d.faultf(at.in("sessionPolicy"), "is a JSON object, as IAM has it, and not a text")
		}
		opts = append(opts, aws.SessionPolicy(string(policy)))
	}
	if r.PolicyARNs != nil {
		opts = append(opts, aws.PolicyARNs(r.PolicyARNs...))
	}
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		opts = append(opts, aws.Tag(key, r.Tags[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(r.PrincipalTags)) {
		of, ok := attributes[r.PrincipalTags[key]]
		if !ok {
			d.faultf(at.in("principalTags").in(key), "is one of issuer, subject, tenant, client and identity")
		}
		opts = append(opts, aws.PrincipalTag(key, of))
	}
	if r.TransitiveTags != nil {
		opts = append(opts, aws.TransitiveTags(r.TransitiveTags...))
	}
	if r.InheritedTags != nil {
		opts = append(opts, aws.InheritedTags(r.InheritedTags...))
	}
	if r.SourceIdentity != "" {
		opts = append(opts, aws.SourceIdentity(r.SourceIdentity))
	}
	for _, o := range []struct {
		on     bool
		option func() aws.Option
	}{
		{r.PrincipalIsSource, aws.PrincipalSourceIdentity},
		{r.SharedSession, aws.SharedSession},
		{r.Unrestricted, aws.Unrestricted},
		{r.AllowWildcardActions, aws.AllowWildcardActions},
		{r.AllowWildcardResources, aws.AllowWildcardResources},
	} {
		if o.on {
			opts = append(opts, o.option())
		}
	}
	return opts
}
