package sandbox_test

import (
	"fmt"
	"strings"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// The profile of a program of the system, for "sandbox-exec -f" of macOS.
func ExampleSeatbelt() {
	text, err := sandbox.Seatbelt(&sandbox.Command{Path: "/usr/bin/true", Profile: sandbox.Profile{System: true}}, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Contains(text, "(deny default)\n"), strings.Contains(text, "network"))
	// Output: true false
}
