package sbom_test

import (
	"fmt"
	"runtime/debug"

	"github.com/mcpsec/mcpsec-go/attest/sbom"
)

func ExampleCompare() {
	build := func(version string) *sbom.Document {
		bill, err := sbom.Build(&debug.BuildInfo{
			GoVersion: "go1.26.8",
			Main:      debug.Module{Path: "example.org/notes", Version: "v1.2.0"},
			Deps:      []*debug.Module{{Path: "golang.org/x/sys", Version: version, Sum: "h1:" + version}},
		})
		if err != nil {
			panic(err)
		}
		return bill
	}
	fmt.Println(sbom.Compare(build("v0.49.0"), build("v0.48.0")))
	// Output:
	// sbom: it has golang.org/x/sys@v0.49.0 (h1:v0.49.0), the program links golang.org/x/sys@v0.48.0 (h1:v0.48.0)
}
