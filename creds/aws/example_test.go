package aws_test

import (
	"context"
	"fmt"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/aws"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// The identity of the caller is a tag, and a fixed policy says what it means.
func ExampleAssumeRole() {
	base := aws.Keys("AKIAIOSFODNN7EXAMPLE", creds.NewValue([]byte("not a real key")))
	grant := aws.AssumeRole("arn:aws:iam::123456789012:role/notes",
		aws.Using(base),
		aws.Region("eu-central-1"),
		aws.AllowAccounts("123456789012"),
		aws.PrincipalTag("identity", aws.Identity),
		aws.SessionPolicy(`{"Version": "2012-10-17", "Statement": {
			"Effect": "Allow", "Action": "s3:GetObject",
			"Resource": "arn:aws:s3:::notes/${aws:PrincipalTag/identity}/*"}}`),
	)
	_, err := mcpsec.New(creds.New(creds.ForTool("read_note", grant)))
	fmt.Println(err)
	// Output: <nil>
}

// What a role that assumes another could not do is found at start.
func ExampleAssumeRole_refused() {
	base := aws.SessionKeys("ASIAIOSFODNN7EXAMPLE", creds.NewValue([]byte("key")), creds.NewValue([]byte("token")), time.Now().Add(time.Hour))
	grant := aws.AssumeRole("arn:aws:iam::123456789012:role/notes",
		aws.Using(base), aws.Region("eu-central-1"), aws.Duration(2*time.Hour), aws.RoleMaximum(4*time.Hour),
		aws.SessionPolicy(`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::*"}}`),
	)
	_, err := mcpsec.New(creds.New(creds.ForTool("read_note", grant)))
	fmt.Println(err != nil)
	// Output: true
}

// The workload's own token, which Kubernetes writes, takes the place of a base.
func ExampleAssumeRoleWithWebIdentity() {
	grant := aws.AssumeRoleWithWebIdentity("arn:aws:iam::123456789012:role/notes",
		"/var/run/secrets/eks.amazonaws.com/serviceaccount/token", "sts.amazonaws.com",
		aws.Region("eu-central-1"),
		aws.SessionPolicy(`{"Version": "2012-10-17", "Statement": {
			"Effect": "Allow", "Action": "s3:GetObject",
			"Resource": "arn:aws:s3:::notes/{{arg.folder | one-of drafts final}}/{{arg.name | segment 64}}"}}`),
	)
	_, err := mcpsec.New(creds.New(creds.ForTool("read_note", grant)))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWebIdentity() {
	base := aws.WebIdentity("arn:aws:iam::123456789012:role/server", "/var/run/token", "sts.amazonaws.com", aws.Region("eu-central-1"))
	fmt.Println(base.Check())
	// Output: <nil>
}

// Outside a tool call there are no keys, whatever the host has.
func ExampleConfig() {
	_, err := aws.Config(context.Background())
	fmt.Println(err)
	// Output: creds.no_handle: no credentials here
}
