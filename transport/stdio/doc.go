// Package stdio runs both ends of a server on standard input and output: [Serve] serves a
// guarded server to the process that started it, and [Launch] starts any server, in any
// language, in a sandbox.
//
//	session, err := client.Connect(ctx, &stdio.Launch{
//		Command:  []string{"/opt/weather/weather-mcp"},
//		Artifact: stdio.Program{SHA256: "9f86d081..."},
//		Profile:  sandbox.Profile{Egress: []string{"api.weather.gov"}},
//	}, nil)
//
// # What Launch stops
//
// A program that is not the one that was reviewed: it is copied, verified and run from the
// copy, so that a file that is exchanged between the look and the start changes nothing.
// Commands that fetch what they run, such as npx and uvx, and inline code are refused. A
// server that reads what is not its own, reaches hosts that are not listed, or leaves
// processes behind: see package sandbox and package egress. The host's environment: the
// server's is built from nothing. Messages that two readers read in two ways, in either
// direction; a line without end; standard output that is no protocol. What cannot be
// enforced fails the start unless [Launch.Allow] names it, and the report says what is in
// force.
//
// # What Serve stops
//
// Messages that two JSON readers read differently, and unknown or malformed ones
// that the SDK would answer by itself, unrecorded and unlimited: see
// [mcpsec.Guard.Transport]. The principal of every call is the user that the process at
// the other end of the pipe runs as, instead of nobody. A stray print in the middle of the
// protocol. With [Confine], what a server that was taken over could do to its host.
//
// What the sandbox refuses is an error to the server and no event here. To see such calls,
// give Launch.Backend a telemetry.Around, of package sandbox/telemetry.
//
// # What they do not stop
//
// What a server does with what it may have: it can send what it reads to the hosts that it
// may reach. What a message means: wrap the transport with package lock, and guard the
// client's side. A [System] interpreter that root replaces. Another process of the host's
// own user can write to private copies on the disk, and trace the host; sealed memory it
// cannot write to. A shell or interpreter under another name is as good as its digest:
// the lists of names are against mistakes. Without Confine, [Serve] does not confine its
// own process. Every process of the same user looks the same.
//
// Servers that send JSON-RPC batches, which revision 2025-03-26 of MCP had, are refused.
//
// # Other systems
//
// The sandbox is Linux's, on amd64 and arm64. Elsewhere Launch builds and refuses to start
// with [sandbox.Direct]; another Backend may do better.
package stdio
