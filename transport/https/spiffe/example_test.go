package spiffe_test

import (
	"context"
	"fmt"

	"github.com/mcpsec/mcpsec-go/transport/https/spiffe"
)

func ExampleNew() {
	_, err := spiffe.New(context.Background(), spiffe.Config{Socket: "unix:///run/spire/agent.sock", ID: "server"})
	fmt.Println(err)
	// Output: spiffe: Config.ID: scheme is missing or invalid
}
