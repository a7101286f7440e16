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
//	attest                 pinned tool definitions and executable, checked on every call
//	creds                  a credential of its own for each tool, through context only
//	transport/stdio        a guarded server for the process that started it
//	cmd/mcpsec             the command line: audit, freeze, thaw, status, explain, doctor, version
//	examples/quickstart    six scenes: what passes, what is refused, and why
//
// Imports only go down: package mcpsec imports the standard library and the SDK; a
// control imports mcpsec and no other control; what drags in a large dependency is
// a leaf that nothing else imports. A test holds the module to it.
package mcpsecgo
