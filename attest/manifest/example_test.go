package manifest_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

func example() *manifest.Manifest {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	return &manifest.Manifest{
		ServerName: "files", ServerVersion: "1.2.0", Sequence: 1,
		IssuedAt: now, NotBefore: now, Expires: now.AddDate(0, 1, 0),
		Closed: true, DefinitionScheme: manifest.DefinitionScheme, ServerSHA256: strings.Repeat("0", 64), InstructionsSHA256: strings.Repeat("0", 64),
		Tools:   []manifest.Tool{{Name: "read_file", Version: "1.0.0", SHA256: strings.Repeat("1", 64), Artifacts: []string{}}},
		Prompts: []manifest.Definition{}, Resources: []manifest.Definition{}, ResourceTemplates: []manifest.Definition{},
		Executables: []manifest.Executable{}, Artifacts: []manifest.Artifact{},
	}
}

func Example() {
	statement, err := example().Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := manifest.Decode(statement)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range m.Subjects() {
		fmt.Println(s.Name)
	}
	fmt.Println(m.At(m.Expires, 0))
	_, err = manifest.Decode([]byte(strings.Replace(string(statement), `"closed"`, `"Closed"`, 1)))
	fmt.Println(err)
	// Output:
	// instructions
	// server
	// tool:read_file@1.0.0
	// the manifest has expired: at 2026-12-22T10:00:00Z, and the clock says 2026-12-22T10:00:00Z: sign a new one
	// manifest: the statement: unknown member "Closed"
}

func ExampleDiff() {
	before, after := example(), example()
	after.Sequence = 2
	after.Tools[0].SHA256 = strings.Repeat("2", 64)
	after.Prompts = []manifest.Definition{{Name: "summary", SHA256: strings.Repeat("3", 64)}}
	for _, change := range manifest.Diff(before, after) {
		fmt.Println(change)
	}
	// Output:
	// weaker: changed tool read_file: the definition changed under the same version
	// added prompt summary
}
