package inspector_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/mcpsec/mcpsec-go/attest/inspector"
	"github.com/mcpsec/mcpsec-go/attest/vuln"
)

// Region and credentials are given, never found: without them nothing is sent.
func ExampleClient_Scan() {
	bill := []byte(`{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
		"components": [{"type": "library", "bom-ref": "a", "name": "a", "version": "1", "purl": "pkg:npm/a@1"}]}`)
	gate := &vuln.Gate{Severity: vuln.High}
	_, err := inspector.New(aws.Config{}).Scan(context.Background(), gate, bill)
	fmt.Println(err)
	// Output:
	// inspector: the configuration needs a region and credentials: nothing is looked up in the environment
}
