package secrets_test

import (
	"fmt"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/aws"
	"github.com/mcpsec/mcpsec-go/creds/aws/secrets"
)

// The key of an IAM user; a server in AWS gives aws.From the provider of its host.
func base() *aws.Base {
	return aws.Keys("AKIAIOSFODNN7EXAMPLE", creds.NewValue([]byte("an example")))
}

func ExampleManager() {
	db := secrets.Manager("prod/orders-db",
		secrets.Region("eu-central-1"),
		secrets.Credentials(base()),
		secrets.Accounts("123456789012"),
		secrets.Field("password"),
		secrets.Poll(2*time.Minute),
	)
	fmt.Println(db)
	fmt.Println(db.(creds.Checker).Check(creds.NewSpec("orders-db", nil)))

	access, _ := db.(creds.Describer).Describe(creds.NewSpec("orders-db", nil), creds.Request{Tool: "query_orders"})
	for _, note := range access.Notes {
		fmt.Println("-", note)
	}
	// Output:
	// Secrets Manager prod/orders-db member password in eu-central-1
	// <nil>
	// - The tool can do whatever the secret opens: AWS cannot narrow it to a call.
	// - Only the member "password" of the secret is issued.
}

func ExampleParameter() {
	key := secrets.Parameter("/prod/search/api-key:3", secrets.Region("eu-central-1"), secrets.Credentials(base()))
	fmt.Println(key.(creds.Checker).Check(creds.NewSpec("search", nil)))
	// Output:
	// Parameter Store /prod/search/api-key:3: a name has up to 1011 of A-Z a-z 0-9 _ . - in up to 15 levels, and neither version nor label
}
