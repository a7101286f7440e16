// Program holds itself to the bill of materials named on its command line, as a server
// does when it starts. The one of this program it writes with -write.
package main

import (
	"fmt"
	"os"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/attest/sbom"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if args[0] == "-write" {
		program, err := sbom.Running()
		if err != nil {
			return err
		}
		data, err := program.Encode()
		if err != nil {
			return err
		}
		return os.WriteFile(args[1], data, 0o600)
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	return sbom.Check(args[0])(&manifest.Manifest{SBOM: sbom.Pin(data)})
}
