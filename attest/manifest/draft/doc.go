// Package draft makes a manifest, not signed yet, of what a server shows over the wire
// and of the files behind it. It is what "mcpsec manifest" runs on.
//
//	seen, err := lock.Observe(ctx, &mcp.CommandTransport{Command: server})
//	m, err := draft.New(seen, time.Now(), manifest.MaxLifetime)
//	texts, err := draft.Encode(seen)
//
// Beside the manifest, which holds digests, it keeps the reviewed definitions, so that
// the next review shows words: [Encode] writes them in the form of a lock file, [Decode]
// reads them, and [Match] tells whether they are those of a manifest. They are not
// signed and prove nothing alone.
//
// # What it stops
//
// A manifest of something else than what was reviewed: definitions are the bytes of the
// wire, so that members which a client drops count; the program is hashed before it is
// started and must be the same when it has ended; the interpreter behind a "#!" script
// does not stand in for the script.
//
// # What it does not stop
//
// A server that shows another face to whoever makes the manifest. The manifest then
// says so to the reviewer, and the server that shows the other face is refused later.
// A file that is another one for the moment between its hashing and its start. A program that loads code from elsewhere: what is not given as an artifact is not in
// the manifest.
package draft
