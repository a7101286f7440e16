package aws

import (
	"fmt"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Every rule of STS that can be told from configuration is checked at start: cases 16
// and 17 among them.
func TestCheck(t *testing.T) {
	t.Parallel()
	const policyARN = "arn:aws:iam::123456789012:policy/p"
	var manyTags, manyPolicies []Option
	for i := range 51 {
		manyTags = append(manyTags, Tag(fmt.Sprint("k", i), "v"))
	}
	for i := range 11 {
		manyPolicies = append(manyPolicies, PolicyARNs(policyARN+fmt.Sprint(i)))
	}
	good := []Option{Region("eu-central-1"), SessionPolicy(readLogs)}
	for name, tc := range map[string]struct {
		arn  string
		base *Base
		opts []Option
		want string
	}{
		"as it should be":        {"", chained(), nil, ""},
		"no base":                {"", nil, nil, "aws.Using"},
		"zero base":              {"", &Base{}, nil, "aws.Using"},
		"nil SDK provider":       {"", From(nil), nil, "aws.Using"},
		"anonymous":              {"", From(awssdk.AnonymousCredentials{}), nil, "aws.Using"},
		"nil option":             {"", chained(), []Option{nil}, "nil Option"},
		"no region":              {"", chained(), []Option{Region("")}, "aws.Region"},
		"region of a model":      {"", chained(), []Option{Region("evil.example/x")}, "aws.Region"},
		"other partition":        {"", chained(), []Option{Region("cn-north-1")}, "partition"},
		"no ARN":                 {"reader", chained(), nil, "no ARN of a role"},
		"a user's ARN":           {"arn:aws:iam::123456789012:user/x", chained(), nil, "no ARN of a role"},
		"short account":          {"arn:aws:iam::12345678901:role/x", chained(), nil, "no ARN of a role"},
		"ARN with a wildcard":    {"arn:aws:iam::123456789012:role/*", chained(), nil, "no ARN of a role"},
		"ARN with a template":    {"arn:aws:iam::123456789012:role/{{arg.role}}", chained(), nil, "no ARN of a role"},
		"account not allowed":    {"", chained(), []Option{AllowAccounts("111111111111")}, "aws.AllowAccounts"},
		"account allowed":        {"", chained(), []Option{AllowAccounts("111111111111", "123456789012")}, ""},
		"empty list of accounts": {"", chained(), []Option{AllowAccounts([]string{}...)}, "aws.AllowAccounts: allows none"},
		"empty list of policies": {"", chained(), []Option{PolicyARNs([]string{}...)}, "aws.PolicyARNs: names none"},
		"no account":             {"", chained(), []Option{AllowAccounts("x", "123456789012")}, "12 digits"},

		"endpoint in clear":      {"", chained(), []Option{Endpoint("http://sts.example.com")}, "not https"},
		"endpoint with user":     {"", chained(), []Option{Endpoint("https://u:p@sts.example.com")}, "aws.Endpoint"},
		"endpoint no URL":        {"", chained(), []Option{Endpoint("sts.example.com")}, "aws.Endpoint"},
		"endpoint like loopback": {"", chained(), []Option{Endpoint("http://localhost.example.com")}, "not https"},
		"endpoint https":         {"", chained(), []Option{Endpoint("https://sts.example.com")}, ""},

		"14 minutes":                       {"", chained(), []Option{Duration(14 * time.Minute)}, "15 minutes"},
		"fraction of a second":             {"", chained(), []Option{Duration(time.Hour / 7 * 3)}, "number of seconds"},
		"case 16: chained for two hours":   {"", chained(), []Option{Duration(2 * time.Hour), RoleMaximum(12 * time.Hour)}, "one role assumes another"},
		"case 16: unknown base, two hours": {"", From(fixed{}), []Option{Duration(2 * time.Hour), RoleMaximum(12 * time.Hour)}, "one role assumes another"},
		"user for two hours":               {"", user(), []Option{Duration(2 * time.Hour), RoleMaximum(12 * time.Hour)}, ""},
		"user for longer than the role":    {"", user(), []Option{Duration(2 * time.Hour)}, "RoleMaximum"},
		"user for 13 hours":                {"", user(), []Option{Duration(13 * time.Hour), RoleMaximum(13 * time.Hour)}, "12 hours"},
		"chained for an hour":              {"", chained(), []Option{Duration(time.Hour)}, ""},

		"case 17: 51 tags":                    {"", chained(), manyTags, "STS takes 50"},
		"case 17: 257 characters":             {"", chained(), []Option{Tag("k", strings.Repeat("v", 257))}, "256"},
		"256 characters":                      {"", chained(), []Option{Tag("k", strings.Repeat("é", 256))}, ""},
		"129 characters of key":               {"", chained(), []Option{Tag(strings.Repeat("k", 129), "v")}, "128"},
		"empty key":                           {"", chained(), []Option{Tag("", "v")}, "1 to 128"},
		"key of AWS":                          {"", chained(), []Option{Tag("AWS:x", "v")}, "AWS's own"},
		"odd characters":                      {"", chained(), []Option{Tag("k", "a*b")}, "letters"},
		"same key in another case":            {"", chained(), []Option{Tag("Team", "a"), Tag("team", "b")}, "twice"},
		"case 17: inherited, in another case": {"", chained(), []Option{Tag("Project", "a"), InheritedTags("project")}, "transitive tag of the base"},
		"transitive without tag":              {"", chained(), []Option{TransitiveTags("team")}, "no tag of this session"},
		"transitive":                          {"", chained(), []Option{Tag("Team", "a"), TransitiveTags("team")}, ""},
		"unknown attribute":                   {"", chained(), []Option{PrincipalTag("k", Attribute(9))}, "Attribute(9)"},
		"source identity too short":           {"", chained(), []Option{SourceIdentity("x")}, "2 to 64"},
		"source identity of AWS":              {"", chained(), []Option{SourceIdentity("aws:x")}, "2 to 64"},
		"empty source identity":               {"", chained(), []Option{SourceIdentity("")}, "is empty"},
		"two source identities":               {"", chained(), []Option{SourceIdentity("xx"), PrincipalSourceIdentity()}, "leave out one"},
		"external id of one character":        {"", chained(), []Option{ExternalID("x")}, "aws.ExternalID"},
		"external id with a space":            {"", chained(), []Option{ExternalID("x y")}, "aws.ExternalID"},
		"external id too long":                {"", chained(), []Option{ExternalID(strings.Repeat("x", 1225))}, "aws.ExternalID"},

		"two policies":               {"", chained(), []Option{SessionPolicy(readLogs)}, "given twice"},
		"11 managed policies":        {"", chained(), manyPolicies, "STS takes 10"},
		"another account's policy":   {"", chained(), []Option{PolicyARNs("arn:aws:iam::999999999999:policy/p")}, "role's own account"},
		"no policy":                  {"", chained(), []Option{PolicyARNs("ReadOnly")}, "aws.PolicyARNs"},
		"managed policy twice":       {"", chained(), []Option{PolicyARNs(policyARN, policyARN)}, "twice"},
		"policies too long together": {"", chained(), []Option{PolicyARNs(policyARN+strings.Repeat("x", 450), policyARN+strings.Repeat("y", 450), policyARN+strings.Repeat("z", 450), policyARN+strings.Repeat("w", 450), policyARN+strings.Repeat("v", 450))}, "together"},
		"narrow and not":             {"", chained(), []Option{Unrestricted()}, "leave out one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arn := tc.arn
			if arn == "" {
				arn = readerARN
			}
			grant := AssumeRole(arn, append(append([]Option{Using(tc.base)}, good...), tc.opts...)...)
			_, err := mcpsec.New(creds.New(creds.ForTool("t", grant)))
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	for name, tc := range map[string]struct {
		opts []Option
		want string
	}{
		"nothing narrows": {nil, "nothing narrows"},
		"accepted":        {[]Option{Unrestricted()}, ""},
		"tags":            {[]Option{PrincipalTag("team", Tenant)}, ""},
		"a fixed tag":     {[]Option{Tag("tool", "list")}, "nothing narrows"},
		"empty template":  {[]Option{SessionPolicy("")}, "is empty"},
	} {
		grant := AssumeRole(readerARN, append([]Option{Using(user()), Region("eu-central-1")}, tc.opts...)...)
		_, err := mcpsec.New(creds.New(creds.ForTool("t", grant)))
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tc := range map[string]struct {
		file, audience string
		opts           []Option
		want           string
	}{
		"as it should be": {"/token", "sts.amazonaws.com", []Option{SessionPolicy(readLogs), Duration(3 * time.Hour), RoleMaximum(4 * time.Hour)}, ""},
		"no file":         {"", "sts.amazonaws.com", []Option{SessionPolicy(readLogs)}, "no name"},
		"no audience":     {"/token", "", []Option{SessionPolicy(readLogs)}, "audience is missing"},
		"with a base":     {"/token", "a", []Option{SessionPolicy(readLogs), Using(user())}, "needs no base"},
		"with tags":       {"/token", "a", []Option{Tag("k", "v")}, "claims"},
		"nothing narrows": {"/token", "a", nil, "nothing narrows"},
	} {
		grant := AssumeRoleWithWebIdentity(readerARN, tc.file, tc.audience, append([]Option{Region("eu-central-1")}, tc.opts...)...)
		_, err := mcpsec.New(creds.New(creds.ForTool("t", grant)))
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("web identity, %s: %v", name, err)
		}
	}
}
