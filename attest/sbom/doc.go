// Package sbom says what a Go program is made of: a CycloneDX 1.5 bill of materials
// from the build information that the linker left in the binary, with no network and
// no source tree.
//
//	bom, err := sbom.File("server")     // where the release is built
//	data, err := bom.Encode()           // the same binary, the same bytes
//
//	guard, err := mcpsec.New(attest.New(
//		attest.Manifest("manifest.sigstore.json", trust),
//		attest.Accept(sbom.Check("server.cdx.json")), // where the server starts
//	))
//
// # What it stops
//
// A bill of materials that belongs to another program, lacks a module, or names another
// version than was linked: the manifest pins its bytes, and at start every module, sum
// and replacement in it is compared, both ways, with the running binary.
//
// # What it does not stop
//
// A binary that lies: build information is data in the file, and whoever builds the file
// writes it. It is worth what the signature on the manifest is worth. What is not a Go
// module is not in it: C libraries, generated code, embedded files, the toolchain beyond
// its version. Whether a module is vulnerable, package vuln says.
package sbom
