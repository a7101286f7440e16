package acme_test

import (
	"fmt"

	"github.com/mcpsec/mcpsec-go/transport/https/acme"
)

func ExampleNew() {
	_, err := acme.New(acme.Config{Domains: []string{"mcp.example.com"}, Folder: "acme"})
	fmt.Println(err)
	// Output: acme: Config.Agreed is not set: read the authority's terms of service
}
