package azure_test

import (
	"fmt"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/azure"
)

var app = azure.Application{
	Tenant:   "11111111-2222-3333-4444-555555555555",
	ClientID: "66666666-7777-8888-9999-000000000000",
	Proof:    azure.Workload(creds.Static([]byte("from a file in earnest"))),
}

func ExampleAccessToken() {
	p := azure.AccessToken(app, "https://storage.azure.com/.default")
	spec := creds.NewSpec("storage", nil)
	a, err := p.(creds.Describer).Describe(spec, creds.Request{})
	fmt.Println(p.(creds.Checker).Check(spec), a.Rules[0].Resources, a.Notes, err)
	// Output: <nil> [https://storage.azure.com/.default] [One token of an application cannot be narrower than its roles.] <nil>
}

func ExampleSecret() {
	p := azure.Secret(app, "my-vault", "report-key", "")
	spec := creds.NewSpec("key", nil)
	a, err := p.(creds.Describer).Describe(spec, creds.Request{})
	fmt.Println(p.(creds.Checker).Check(spec), a.Rules[0].Actions, a.Rules[0].Resources, err)
	// Output: <nil> [secrets/get] [my-vault/secrets/report-key] <nil>
}
