package kms_test

import (
	"context"
	"fmt"

	"github.com/mcpsec/mcpsec-go/attest/cosign/kms"
)

func ExampleOpen() {
	_, err := kms.Open(context.Background(), "arn:aws:kms:eu-central-1:123456789012:alias/release")
	fmt.Println(err)
	// Output: kms.Open: kms specification should be in the format awskms://[ENDPOINT]/[ID/ALIAS/ARN] (endpoint optional)
}
