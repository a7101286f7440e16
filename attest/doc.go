// Package attest makes sure that what a model is told of a tool, and what runs
// behind it, is what somebody reviewed: a manifest pins the SHA-256 digests of the
// tool definitions, the instructions and the executable, the server starts only if
// all of them match, and every call is checked again.
//
//	guard, err := mcpsec.New(attest.New(attest.Manifest("manifest.json")))
//
// A manifest is made by the reviewed server itself, see [Capture] and [Snapshot].
//
// # What it stops
//
// A rug pull: a definition that is harmless when it is approved and changes later.
// The SDK keeps pointers, so one write to a description, a schema, an annotation,
// an icon or _meta reaches the next client without any notification. The live
// definition is hashed on every call, and every definition in a list before the
// list goes out. A tool that changed is out of service until the server restarts,
// even if the change is undone: whoever changed it can do so again between checks.
//
// Also: a tool that nobody reviewed, or one that is missing; other instructions or
// another server name or version than reviewed; another executable than reviewed.
//
// # What it does not stop
//
// Whoever can write the manifest. This version verifies no signature: the file is
// as trustworthy as its permissions and the way it got there. Keep it out of reach
// of the account the server runs as, or compile the pins in with [Pinned].
//
// A malicious executable. A program that checks itself can lie; only a launcher or
// the kernel can prove what runs. The check finds accidents and swapped files.
//
// What a digest does not cover: the behaviour of a tool, what it fetches or calls
// elsewhere, files it reads, environment and dynamic libraries, prompts and
// resources, the bytes behind a remote icon URL.
//
// Code in the same process that writes to arbitrary memory, or that changes a
// definition and restores it between two checks. Root and the kernel.
package attest
