// Package lock pins the servers a host uses. Whatever of a server reaches the model,
// its instructions, tools, prompts and resources, is compared with what somebody saw
// before, in a file that lies beside the code and is read in a pull request.
//
//	transport := lock.Pin(&mcp.CommandTransport{Command: cmd}, "mcpsec.lock", lock.Name("files"))
//	session, err := client.Connect(ctx, transport, nil)
//
// Compared are the bytes as they came over the wire, by the digest tooldef/1: the
// types of the SDK's client drop members they do not know and round numbers.
//
// # What it stops
//
// A rug pull by a server that somebody else runs: a definition that was harmless when
// it was approved and is another one today, on any page of a list, for this client
// only, with or without a notification, in a member that nobody knows. A tool that was
// never approved is neither listed nor called. A list with a definition that is not
// approved fails as a whole and says what to do: it is never shortened in silence. The
// session goes on, and so does everything that is approved.
//
// What was refused is kept beside the lock file, in the same form, so that it can be
// reviewed and approved definition by definition without asking the server again:
// mcpsec lock review.
//
// # First use
//
// By default only what was reviewed is accepted. [FirstUse] trusts what it sees first:
// the server, and of each kind of definition the first list from its first page to its
// last, in one connection. A definition that appears later is refused. The first sight
// is not checked by anything; an attacker who is there from the start is pinned.
//
// # What it does not stop
//
// What a tool does and returns: a digest says nothing of behaviour, and results of
// tools, contents of resources and texts of prompts are not compared. Requests from
// the server, such as elicitation and sampling, pass. The bytes behind an icon's URL
// may change. Members of a list that belong to no definition (nextCursor, ttlMs,
// _meta) and the protocol version are not pinned. Resources are read whether or not
// they are listed, because templates and tools name more of them. A tool that is no
// longer offered is no refusal.
//
// Whoever can write the lock file decides what is approved. An approval through the
// command line covers the bytes that were shown, and nothing that came later.
package lock
