// Package aws gives each tool keys of AWS that are its own: those of a role, for
// 15 minutes, narrowed to what the tool, its caller and the call need (AWS STS).
//
// Prefer attributes to text. The session carries who calls as a tag, and one fixed
// policy says what that means, so that nothing of the call gets into a policy:
//
//	base := aws.Keys("AKIA...", secret) // or From(provider), WebIdentity(...)
//	creds.New(
//		creds.ForTool("read_note", aws.AssumeRole("arn:aws:iam::123456789012:role/notes",
//			aws.Using(base), aws.Region("eu-central-1"),
//			aws.PrincipalTag("identity", aws.Identity),
//			aws.SessionPolicy(`{"Version": "2012-10-17", "Statement": {
//				"Effect": "Allow", "Action": "s3:GetObject",
//				"Resource": "arn:aws:s3:::notes/${aws:PrincipalTag/identity}/*"}}`),
//		)),
//	)
//
// Where an argument has to decide, a placeholder says of which form it may be:
//
//	"Resource": "arn:aws:s3:::notes/{{arg.folder | one-of drafts final}}/{{arg.name | segment 64}}"
//
// A placeholder is {{arg.NAME | FORM}} or {{principal.ATTRIBUTE | FORM}}, with a FORM
// of "one-of A B C", "segment MOST" (letters, digits and . _ = + , @ -) or "path MOST"
// (segments with slashes between them), or {{principal.identity}}. The template is read
// as JSON first; a value goes only into the strings of a Resource or a positive
// Condition of a statement that allows, and behind the account of an ARN. What is not
// of the form is refused, not escaped: no value has a *, ?, $, quote, colon or "..". A
// missing argument refuses the call (creds.aws_argument).
//
// Where one value can begin or end with another, there must stand what no value has,
// such as a slash, between it and a wildcard, a variable or another placeholder: with
// "TENANT-*" the tenant "acme" would be let into what is "acme-eu"'s. For the same
// reason who the caller is stands before any path.
//
// In the handler, [Config] has the keys for the SDK's clients:
//
//	config, err := aws.Config(ctx)
//	if err != nil {
//		return nil, err
//	}
//	client := s3.NewFromConfig(config)
//
// # What a policy may allow
//
// A statement that allows names its resources, at least by how their names begin:
// neither region nor account, nor the type of a resource or the whole of its name, is a
// wildcard (table/*), and no variable is one that whoever makes the request can choose,
// such as ${s3:prefix}, ${aws:SourceIp} or ${aws:UserAgent}; [AllowWildcardResources]
// accepts them. No action begins with a wildcard ([AllowWildcardActions]). NotAction,
// NotResource, conditions with IfExists, and ForAllValues without a Null that demands
// the key, are refused: they allow what nobody named. A negated condition, such as
// StringNotEquals, is taken, and holds for requests without the key too, as in IAM. A
// [PrincipalTag] without a policy narrows only if the role's own policy asks for it,
// which cannot be seen from here.
//
// # What it stops
//
// A tool that was talked into something has keys that open no more than its policy and
// the role both allow, whatever the server's own identity may do. A confused deputy:
// role, account, region, external id and endpoint come from configuration alone. Two
// callers, or two tools, that share keys which should differ: everything that STS gets
// to see is part of the [creds.Planner] plan. A surprise at the first call: whatever
// STS would refuse of a configuration is refused at start, as far as it can be told
// without asking; the rest, `mcpsec creds check` asks ([creds.Prober]). Keys found by
// chance on the host: environment, profiles and metadata service are never looked at.
// Keys that have ended, but look alive because a clock is wrong, a refresh failed or
// somebody extended them.
//
// # What it does not stop
//
// What the policy allows is allowed, to a tool that is talked into it too. STS cannot
// recall a session: keys that got out work for up to 15 minutes, or until the role
// denies sessions older than now (aws:TokenIssueTime). A session policy never grants,
// and resource policies that name the session itself can go past it (see "session
// policies" in the manual of IAM). Whoever holds the base can assume every role that
// trusts it: one base for one server, and a trust policy that demands the external id
// or tags. A caller who varies an argument of the policy has a session issued for each
// value, out of the 4096 credentials and the requests to STS that all callers share:
// nothing here counts them for each caller, so limit the calls, or use one-of. The SDK
// and JSON make copies of keys as strings, which cannot be overwritten.
//
// The record's key id, session name and source identity are those of CloudTrail.
package aws
