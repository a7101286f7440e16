// Package attest makes sure that what a model is told of a server, and what runs behind
// it, is what somebody reviewed and signed: a manifest lists the tools, prompts and
// resources, the instructions, the executable and the files they use, each by its SHA-256
// digest; the server starts only if all of them match and nothing else is there, and every
// call is checked again. On the machine this was measured on, that takes half a microsecond
// for a tool, whatever the size of its definition, and for each file with bind watch one
// more, and another half for each folder that it lies deep (BenchmarkWrap); nothing is
// allocated. A tool that was added without mcpsec.AddTool, a prompt and a resource take 1
// to 10 µs more on a server with up to a hundred of them, because the SDK's registry is
// listed.
//
//	guard, err := mcpsec.New(attest.New(attest.Manifest("manifest.sigstore.json", attest.Key("release.pub"))))
//
// A manifest is made by the reviewed server itself, see [Capture] and [Snapshot], and signed
// where the server's own account cannot: with package envelope or "mcpsec sign". It is an
// in-toto statement in a DSSE envelope in a Sigstore bundle, see packages manifest and
// envelope. Signatures by identity instead of by key are verified by attest/sigstore and
// attest/cosign, which this package does not import.
//
// # What it stops
//
// A manifest that nobody trusted has signed, that has expired, is for another server,
// version or platform, or is older than one that was accepted before ([State],
// [MinSequence]).
//
// A rug pull: a definition that is harmless when it is approved and changes later. The SDK
// keeps pointers, so one write to a description, a schema, an annotation, an icon or _meta
// reaches the next client without any notification. The live definition is hashed on every
// call, and everything in a list before the list goes out. What changed is out of service
// until the server restarts, even if the change is undone: whoever changed it can do so
// again between checks. The long parts of a definition are moved to memory that the kernel
// has sealed; code that writes to them in place ends the process.
//
// Also: a tool, prompt or resource that nobody reviewed, or one that is missing; other
// instructions, another title, description, site or icons of the server; another executable, or one built otherwise, than reviewed; another policy
// ([Policy]).
//
// A file that was swapped between its check and its use. How a file is bound to its digest
// says the manifest:
//
//   - snapshot: it is read once into sealed memory, hashed there, and a handler gets it from
//     there and from nowhere else ([Artifact], [FS]);
//   - exec: the same, and it runs from there ([Command]);
//   - watch: it stays a file that others open. Whether it seems to be the same file is
//     checked before every call of a tool that lists it (if none does, of every tool, and
//     before every use of a prompt or resource), and its content in the background ([Rehash]). It is the weakest, for what cannot be
//     read from memory.
//
// A tool gets the files that the manifest lists for it and no others.
//
// # What it does not stop
//
// A malicious executable. A program that checks itself can lie; only a launcher or the
// kernel can prove what runs. The check finds accidents and swapped files.
//
// What a digest does not cover: the behaviour of a tool, what it fetches or calls
// elsewhere, files the manifest does not list, the interpreter of a script, environment and
// dynamic libraries, what a prompt or resource answers, the bytes behind a remote icon URL.
// Of a resource that a template produces, only the template's literal beginning is
// compared. A handler that is registered anew under an attested definition, in the moment
// between its check and the SDK's look-up, runs; mcpsec.AddTool closes that for tools.
//
// A signer that is no longer trusted. Keys and signatures are judged when the server
// starts, for the moment the manifest was issued; a running server goes on until the
// manifest expires, so sign for short. A state of which nothing is left: see [State].
//
// That the bill of materials of a manifest is that of the executable is checked
// by attest/sbom.
//
// For watched files: a write through a shared mapping that existed before, a write to the
// device below the file system, and a network file system that does not tell show in no
// time; the next background reading finds them, and until then other programs read the
// changed file. On systems other than Linux there is no sealed memory and no change time
// that the owner of a file cannot set: snapshots are then private memory of this process,
// bind exec is refused, and every part of a definition is hashed for every call.
//
// Code in the same process that writes to arbitrary memory, or that changes a definition
// and restores it between two checks. Who may trace the process, root, and the kernel. Who
// can replace the key or the configuration that this package is given.
package attest
