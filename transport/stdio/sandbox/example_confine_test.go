package sandbox_test

import (
	"fmt"
	"log"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// A server confines itself to one folder before it reads its first message.
func ExampleConfine() { //nolint:testableexamples // it would confine the tests
	report, err := sandbox.Confine(sandbox.Folder("/srv/notes"))
	if err != nil {
		log.Fatal(err) // nothing, or not all, is confined: do not serve
	}
	log.Print(report.Tier)
}

// A server that calls one service. The kernel holds the port; the name is the dialer's.
func ExampleHosts() {
	p := sandbox.Hosts("api.example.com:8443")
	fmt.Println(p.Egress, len(p.Write), len(p.Exec))
	// Output: [api.example.com:8443] 0 0
}

func ExampleReadOnly() {
	p := sandbox.ReadOnly("/srv/docs")
	fmt.Println(p.Read, len(p.Write), len(p.Egress))
	// Output: [/srv/docs] 0 0
}

func ExampleFolder() {
	p := sandbox.Folder("/srv/notes")
	fmt.Println(p.Write)
	// Output: [/srv/notes]
}

// What is left of attacks by speculation is known before a server is trusted with keys.
func ExampleSpeculationState() {
	s := sandbox.SpeculationState()
	fmt.Println(s.StoreBypass != "", s.IndirectBranch != "")
	// Output: true true
}
