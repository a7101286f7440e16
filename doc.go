// Package mcpsecgo is the module's front page; it exports nothing. mcpsec is the
// security layer for Go servers of the Model Context Protocol: a library of
// controls that wrap every call of a server built on the official Go SDK.
//
// Begin with package mcpsec, the one idea, and examples/quickstart, which runs.
//
//	mcpsec                 Call, Handler, Control, Guard, Principal, Denial, AddTool, Install
//	mcpsec/allowlist       who may use what
//	audit                  the record of every call, before and after it runs, and its delivery
//	audit/ledger           the signed log it is kept in
//	audit/ocsf, cef        the record in the language of a SIEM
//	audit/syslog, otel, aws, kafka, nats
//	                       systems it is delivered to
//	ratelimit              rate, concurrency, circuit breaker, budgets in money, kill switch
//	ratelimit/redis        the same limits across replicas
//	attest                 a signed manifest, held to on every call
//	attest/manifest, envelope, lint
//	                       what is signed, how, and what no reviewer should have to see
//	attest/sigstore, cosign
//	                       signatures by identity; cosign's library, key files, KMS
//	attest/sbom, vuln, inspector
//	                       what a server is made of, and what is known against it
//	attest/lock, registry  for hosts: other people's servers, pinned
//	creds                  a credential of its own for each tool, through context only
//	creds/aws, vault, oauth, gcp, azure, age, keyring
//	                       where credentials come from
//	creds/child, bindings  credentials for processes that a tool starts; all of it from a file
//	transport/stdio        any server started in a sandbox; your own served, and confined
//	transport/stdio/sandbox, egress
//	                       the sandbox itself, and hosts by name
//	transport/stdio/sandbox/oci, learn, telemetry
//	                       OCI runtimes, profiles by watching, eBPF
//	transport/https        TLS 1.3 only: Streamable HTTP and HTTP+SSE, and a client
//	transport/https/pki, bearer, spiffe, acme
//	                       certificates, OAuth 2.1 tokens, and where certificates come from
//	cmd/mcpsec             the command line: manifest, sign, verify, lock, creds, audit, freeze, explain, ...
//	examples/quickstart    six scenes: what passes, what is refused, and why
//
// Imports only go down: package mcpsec imports the standard library and the SDK; a
// control imports mcpsec and no other control; what drags in a large dependency is
// a leaf that nothing else imports. A test holds the module to it.
package mcpsecgo
