package rolesanywhere_test

import (
	"fmt"

	"github.com/mcpsec/mcpsec-go/creds/aws"
	"github.com/mcpsec/mcpsec-go/creds/aws/rolesanywhere"
)

func ExampleNew() {
	host, err := rolesanywhere.New(rolesanywhere.Config{
		TrustAnchorARN: "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/0a0a0a0a-1111-2222-3333-444444444444",
		ProfileARN:     "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/0b0b0b0b-1111-2222-3333-444444444444",
		RoleARN:        "arn:aws:iam::123456789012:role/mcp-server",
		Certificate:    rolesanywhere.Files("/etc/mcp/tls.crt", "/etc/mcp/tls.key"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()
	base := aws.From(host) // what roles are assumed with, and secrets read
	fmt.Println(host, base.Check())
	// Output: rolesanywhere arn:aws:iam::123456789012:role/mcp-server <nil>
}

func ExampleFiles() {
	_, err := rolesanywhere.Files("no-such.crt", "no-such.key")(nil)
	fmt.Println(err != nil)
	// Output: true
}
