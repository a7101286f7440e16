// Package manifest is the format of what somebody reviewed of a server: its tools, its
// instructions, its prompts and resources, its executable and the files they use. It is
// an in-toto Statement v1 with a predicate of our own, in one canonical form (RFC 8785).
// Signatures over it are those of the package envelope.
//
// # What it stops
//
// A manifest that says one thing to its reviewer and another to the program that obeys
// it: duplicate members, members in another case, members nobody knows, numbers that
// readers round, names with characters that do not show, paths that leave their folder.
// A statement whose subjects vouch for more than its predicate names. Lists that leave
// room: what a manifest does not name is not allowed.
//
// # What it does not stop
//
// It verifies no signature, and knows no clock and no earlier manifest: the caller asks
// [Manifest.At] for validity, and keeps the highest sequence it has seen. A digest says
// that a definition or file is the reviewed one, and nothing of what it does.
package manifest
