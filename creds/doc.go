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
// # How credentials are kept
//
// A provider that is a [Planner] says what it would issue; requests with the same plan
// share one credential, whatever number of calls asks at once. It is fresh for 60 to 80
// percent of its life, at random. Then the next call gets it still and causes another
// to be issued in the background. In the last tenth, and at least a minute of a life of
// five or more, calls wait for the new one; if none can be had they get the old one
// until it ends. After that they are refused. An end by the clock on the wall counts,
// and so does the time that has passed by the other clock, whichever is earlier.
//
// Issuing takes [IssueTimeout] at most, and no caller's deadline cuts it short for the
// others. After a failure there is a pause, for the credential and, in an outage, for
// the provider. At most 4096 credentials are kept, and none that was not used for 15
// minutes. Those of a [Renewer] are renewed, those of a [Revoker] revoked when they are
// no longer needed. A service that refuses a credential is reported with
// [Handle.Report].
//
// # What it stops
//
// A tool that was talked into something reaches for a key it has no business with:
// there is none in the environment, in a global or in the arguments, and asking for
// one that is bound to another tool gives the same answer as asking for one that
// does not exist. The package reads no environment, profile or metadata service, so a
// tool without a binding has no default to fall back on. A goroutine that outlives its
// call keeps nothing: the handle is closed, and the Values it gave reveal nothing. Two
// calls never share a handle.
//
// A secret that gets into a log, an error or a result: a [Value] prints as
// "[secret]" whatever formats it, and as an address where it cannot defend itself. The
// audit record knows what is held and blanks it, with audit.HeldSecrets(injector.Held()).
//
// A caller, or a service, that makes the issuer be asked without end: by calls that come
// in crowds, fail, hang, or have every credential refused.
//
// # What it does not stop
//
// A reviewed handler that misuses what it was given, or keeps the copy that
// [Value.Reveal] returned. What a credential allows is decided where it is issued:
// a key that opens everything opens everything, whichever tool holds it; and two
// requests share a credential if their provider's plan says so. A caller who can vary
// the plan with every call has a credential issued for every call: limit the calls.
//
// A clock that is behind makes a credential look valid that is not: providers compare
// it with the issuer's, and Report heals what is left. Code in the same process that
// reads memory, a debugger, a core dump; copies that the runtime, TLS or a driver makes
// cannot be overwritten. What is kept stays in memory until it ends, and for two minutes
// more where somebody asks for [Injector.Held]. Root and the kernel.
//
// Handlers of prompts and resources get no credentials. Neither does a tool whose
// handler has no guard of its own: Install fails, because it would not be certain
// into whose hands the secret goes.
package creds
