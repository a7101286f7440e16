package fakeaws

import (
	"fmt"
	"strings"
	"testing"
)

// The rules of evaluation in the manual of IAM.
func TestPolicies(t *testing.T) {
	t.Parallel()
	stmt := func(effect, action, resource, more string) string {
		return fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":%q%s}`, effect, action, resource, more)
	}
	const a = "arn:aws:s3:::b/"
	for name, tc := range map[string]struct {
		statements, action, resource string
		want                         decision
	}{
		"exact":                     {stmt("Allow", "s3:GetObject", a+"k", ""), "s3:GetObject", a + "k", allow},
		"case of actions":           {stmt("Allow", "S3:getobject", a+"k", ""), "s3:GetObject", a + "k", allow},
		"case of resources":         {stmt("Allow", "s3:GetObject", a+"K", ""), "s3:GetObject", a + "k", implicitDeny},
		"other action":              {stmt("Allow", "s3:GetObject", a+"k", ""), "s3:PutObject", a + "k", implicitDeny},
		"star crosses slashes":      {stmt("Allow", "s3:Get*", a+"*", ""), "s3:GetObject", a + "x/y", allow},
		"question mark is one":      {stmt("Allow", "s3:GetObject", a+"?", ""), "s3:GetObject", a + "xy", implicitDeny},
		"star goes back":            {stmt("Allow", "s3:GetObject", a+"*ab", ""), "s3:GetObject", a + "aab", allow},
		"prefix is not enough":      {stmt("Allow", "s3:GetObject", a+"k", ""), "s3:GetObject", a + "kk", implicitDeny},
		"denial wins":               {stmt("Allow", "*", "*", "") + "," + stmt("Deny", "s3:GetObject", a+"k", ""), "s3:GetObject", a + "k", deny},
		"variable":                  {stmt("Allow", "s3:GetObject", a+"${aws:PrincipalTag/team}/*", ""), "s3:GetObject", a + "red/x", allow},
		"variable of another":       {stmt("Allow", "s3:GetObject", a+"${aws:PrincipalTag/team}/*", ""), "s3:GetObject", a + "blue/x", implicitDeny},
		"variable has no wildcards": {stmt("Allow", "s3:GetObject", a+"${aws:PrincipalTag/star}/*", ""), "s3:GetObject", a + "red/x", implicitDeny},
		"variable without value":    {stmt("Allow", "s3:GetObject", a+"${aws:PrincipalTag/none}*", ""), "s3:GetObject", a + "red/x", implicitDeny},
		"condition":                 {stmt("Allow", "s3:GetObject", a+"k", `,"Condition":{"StringEquals":{"aws:PrincipalTag/Team":["blue","red"]}}`), "s3:GetObject", a + "k", allow},
		"condition fails":           {stmt("Allow", "s3:GetObject", a+"k", `,"Condition":{"StringEquals":{"aws:PrincipalTag/team":"re*"}}`), "s3:GetObject", a + "k", implicitDeny},
		"condition like":            {stmt("Allow", "s3:GetObject", a+"k", `,"Condition":{"StringLike":{"aws:PrincipalTag/team":"re*"}}`), "s3:GetObject", a + "k", allow},
		"condition without value":   {stmt("Allow", "s3:GetObject", a+"k", `,"Condition":{"StringLike":{"aws:PrincipalTag/none":"*"}}`), "s3:GetObject", a + "k", implicitDeny},
		"condition not":             {stmt("Allow", "s3:GetObject", a+"k", `,"Condition":{"StringNotEquals":{"aws:PrincipalTag/none":"x"}}`), "s3:GetObject", a + "k", allow},
		"two conditions, one fails": {stmt("Allow", "s3:GetObject", a+"k", `,"Condition":{"StringEquals":{"aws:PrincipalTag/team":"red","aws:PrincipalTag/star":"x"}}`), "s3:GetObject", a + "k", implicitDeny},
		"NotAction":                 {`{"Effect":"Allow","NotAction":"s3:GetObject","Resource":"*"}`, "s3:GetObject", a + "k", implicitDeny},
		"NotAction, another":        {`{"Effect":"Allow","NotAction":"s3:GetObject","Resource":"*"}`, "s3:PutObject", a + "k", allow},
		"NotResource":               {`{"Effect":"Allow","Action":"*","NotResource":"` + a + `k"}`, "s3:GetObject", a + "k", implicitDeny},
		"NotResource, another":      {`{"Effect":"Allow","Action":"*","NotResource":"` + a + `k"}`, "s3:GetObject", a + "j", allow},
	} {
		p, err := parsePolicy(`{"Version":"2012-10-17","Statement":[`+tc.statements+`]}`, false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		keys := map[string]string{"aws:principaltag/team": "red", "aws:principaltag/star": "*"}
		if got := decide([]*policy{p}, "", tc.action, tc.resource, keys); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

// What a document must not be.
func TestPoliciesRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ version, statement, want string }{
		"resource not closed":      {"2012-10-17", `"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/x"`, "no end"},
		"denial not closed":        {"2012-10-17", `"Effect":"Deny","Action":"s3:GetObject","NotResource":["arn:aws:s3:::b/${aws:PrincipalTag/x}/${y"]`, "no end"},
		"condition not closed":     {"2012-10-17", `"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"a:b":["c","${d"]}}`, "no end"},
		"closed":                   {"2012-10-17", `"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/x}/${*}"`, ""},
		"plain text before 2012":   {"2008-10-17", `"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${x"`, ""},
		"resource that is no ARN":  {"2012-10-17", `"Effect":"Deny","Action":"s3:GetObject","Resource":"b/k"`, "no ARN"},
		"operator of another kind": {"2012-10-17", `"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"NullIfExists":{"a:b":"true"}}`, "unknown condition operator"},
	} {
		_, err := parsePolicy(fmt.Sprintf(`{"Version":%q,"Statement":{%s}}`, tc.version, tc.statement), false)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}
