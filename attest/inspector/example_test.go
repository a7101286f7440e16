package inspector_test

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/mcpsec/mcpsec-go/attest/inspector"
	"github.com/mcpsec/mcpsec-go/attest/sbom"
	"github.com/mcpsec/mcpsec-go/attest/vuln"
)

// A release script asks for a second opinion. It is compiled and not run: it needs AWS.
func ExampleClient_Scan() {
	release := func(ctx context.Context, keys aws.CredentialsProvider) error {
		program, err := sbom.File("server")
		if err != nil {
			return err
		}
		bill, err := program.Encode()
		if err != nil {
			return err
		}
		gate := &vuln.Gate{Severity: vuln.High}
		verdict, err := inspector.New(aws.Config{Region: "eu-central-1", Credentials: keys}).Scan(ctx, gate, bill)
		if err != nil {
			return err
		}
		return verdict.Err()
	}
	_ = release
}
