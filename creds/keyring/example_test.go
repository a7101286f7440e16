package keyring_test

import (
	"fmt"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/keyring"
)

func ExampleSecret() {
	p := keyring.Secret("my-mcp-server", "github")
	a, err := p.(creds.Describer).Describe(creds.NewSpec("github", nil), creds.Request{})
	fmt.Println(a.Identity, a.Rules[0].Actions, a.Rules[0].Resources, err)
	// Output: the user's keyring [read] [my-mcp-server/github] <nil>
}
