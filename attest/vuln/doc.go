// Package vuln is the gate of a release: does what a server is made of have known
// vulnerabilities, and has somebody excused each of them, with a reason and until a day?
//
//	gate := vuln.Gate{DB: "file:///var/lib/vulndb", Exceptions: exceptions}
//	verdict, err := gate.Binary(ctx, "server")
//
// It asks the Go vulnerability database, a copy on disk or over HTTPS, with the engine of
// govulncheck (golang.org/x/vuln): a finding in a binary is of the level symbol, package
// or module, by how much of what is vulnerable was linked. A stripped binary counts as if it
// linked all of each vulnerable module; a module that stands in for another by a replace
// directive is judged as both, by version alone. For what is not written in Go
// it takes the report of Grype; from Syft it takes the list of Go modules.
//
// # Exceptions
//
// An exception is an OpenVEX statement (openvex.dev, specification 0.2) with status
// not_affected and a justification, fixed, or affected and an action statement: somebody
// decided. Its status notes hold "expires=2027-01-31": OpenVEX has no such member, and a
// decision without an end is never looked at again. From that day on, in UTC, it excuses
// nothing. It names the product it is for, by package URL, and may name the vulnerable
// modules as subcomponents; it excuses nothing else.
//
// # What it stops
//
// A release with a known vulnerability that nobody has looked at; a gate that passes
// because its database is old, empty or missing, its exceptions are for another product,
// or its report was cut down by the scanner's own ignore rules.
//
// # What it does not stop
//
// What no database knows, and what was published after the scan: the verdict in the
// manifest has the date of the database. Code that is reached in ways that symbols do not
// show, such as those that an obfuscator renamed, is found at the levels package and
// module, which fail only when the gate says so. A module without a version, such as one
// of a workspace, is listed as not judged.
// The reports of other scanners are taken at their word.
package vuln
