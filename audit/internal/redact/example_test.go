package redact_test

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/mcpsec/mcpsec-go/audit/internal/redact"
)

func ExamplePolicy_Arguments() {
	policy, err := redact.New(redact.Config{
		Clear: map[string][]string{"query": {"/table", "/options/*"}},
		Names: []string{"customer"},
	})
	if err != nil {
		panic(err)
	}
	schema := json.RawMessage(`{"properties":{"options":{"properties":{"key":{"writeOnly":true}}}}}`)
	args := json.RawMessage(`{"table":"orders","where":"id = 1","options":{"limit":10,"key":"k","customerId":7}}`)
	shown, redacted, cut := policy.Arguments("query", schema, args)
	fmt.Println(shown, redacted, cut)
	// Output:
	// [{/options/limit 10} {/table "orders"}] [/options/customerId /options/key] false
}

func ExamplePolicy_Text() {
	held := [][]byte{[]byte("correct horse battery")}
	policy, err := redact.New(redact.Config{Held: slices.Values(held)})
	if err != nil {
		panic(err)
	}
	for _, text := range []string{
		"dial postgres://app:hunter2@db:5432/orders: connection refused",
		"GET /v1?q=correct+horse+battery: 401",
		"no secret here",
	} {
		fmt.Println(policy.Text(text))
	}
	// Output:
	// dial postgres://[secret:userinfo]@db:5432/orders: connection refused true
	// GET /v1?q=[secret:held]: 401 true
	// no secret here false
}
