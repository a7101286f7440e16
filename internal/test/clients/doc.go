// Package clients runs programs that others wrote against the TLS listener: the official
// conformance suite, the TypeScript clients, the inspector, mcp-remote, a certified
// identity provider, TLS scanners and load tools. What they check is not ours to bend.
//
// The programs from npm are installed by "make clients", those of the system by apt. A
// test whose program is missing is skipped and says which; the last test counts them.
package clients
