package vault_test

import (
	"fmt"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/vault"
)

func ExampleNew() {
	server := vault.New(vault.Config{
		Addresses: []string{"https://vault-1.internal:8200", "https://vault-2.internal:8200"},
		Auth:      vault.AppRole{RoleID: "reports", SecretID: creds.Static([]byte("from a file in earnest"))},
	})
	for _, p := range []creds.Provider{
		server.KV(vault.KV{Mount: "secret", Path: "apps/report", Field: "key", Version: 3}),
		server.Lease(vault.Lease{Path: "database/creds/readonly", PerPrincipal: true}),
	} {
		spec := creds.NewSpec("db", nil)
		a, err := p.(creds.Describer).Describe(spec, creds.Request{})
		fmt.Println(p.(creds.Checker).Check(spec), a.Identity, a.Rules[0].Actions, a.Rules[0].Resources, err)
	}
	// Output:
	// <nil> AppRole at approle, vault-1.internal:8200 [read] [secret/data/apps/report] <nil>
	// <nil> AppRole at approle, vault-1.internal:8200 [read] [database/creds/readonly] <nil>
}
