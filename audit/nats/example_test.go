package nats_test

import (
	"fmt"

	gonats "github.com/nats-io/nats.go"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/nats"
)

// It connects with the first delivery, so that a server that is down does not keep
// a program from starting.
func ExampleNew() {
	destination, err := nats.New(nats.Config{
		URLs:    []string{"tls://nats-1.example:4222", "tls://nats-2.example:4222"},
		Stream:  "AUDIT",
		Subject: "audit.files",
		Options: []gonats.Option{gonats.UserInfo("audit", "a password that is not printed")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer destination.Close()

	var to audit.Destination = destination
	fmt.Println(to)
	// Output: nats stream "AUDIT", subject "audit.files"
}

// Faults of a configuration are named all at once.
func ExampleConfig() {
	_, err := nats.New(nats.Config{
		URLs:    []string{"nats://audit:password@nats.example:4222"},
		Stream:  "AUDIT",
		Subject: "audit.>",
	})
	fmt.Println(err)
	// Output:
	// nats.Config.URLs[0]: holds credentials, which end up in logs: use gonats.UserCredentials, gonats.Nkey or gonats.UserInfo in Options
	// nats.Config.Subject: "audit.>" is no subject to publish to: tokens, joined by '.', without wildcards
}
