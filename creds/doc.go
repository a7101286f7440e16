// Package creds gives every tool its own credentials and no others, for the length
// of one call, through the context and nothing else.
//
//	guard, err := mcpsec.New(creds.New(
//		creds.ForTool("list_notes", creds.Named("store", creds.File("/run/secrets/store"))),
//	))
//
//	func listNotes(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
//		key, err := creds.Secret(ctx, "store")
//		if err != nil {
//			return nil, err // refuses the call; the model learns nothing
//		}
//		secret := key.Reveal()
//		defer clear(secret)
//		...
//	}
//
// # What it stops
//
// A tool that was talked into something reaches for a key it has no business with:
// there is none in the environment, in a global or in the arguments, and asking for
// one that is bound to another tool gives the same answer as asking for one that
// does not exist. A goroutine that outlives its call keeps nothing: the handle is
// closed and the secrets it issued are overwritten. Two calls never share a handle.
//
// A secret that gets into a log, an error or a result: a [Value] prints as
// "[secret]" whatever formats it, and as an address where it cannot defend itself.
//
// # What it does not stop
//
// A reviewed handler that misuses what it was given, or keeps the copy that
// [Value.Reveal] returned. What a credential allows is decided where it is issued:
// a key that opens everything opens everything, whichever tool holds it. Code in
// the same process that reads memory, a debugger, a core dump; copies that the
// runtime, TLS or a driver makes cannot be overwritten. Root and the kernel.
//
// Handlers of prompts and resources get no credentials. Neither does a tool whose
// handler has no guard of its own: Install fails, because it would not be certain
// into whose hands the secret goes.
package creds
