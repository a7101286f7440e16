// Package ocsf writes the audit record in the Open Cybersecurity Schema Framework,
// the language of Amazon Security Lake and of most SIEMs that take JSON.
//
//	format, err := ocsf.New(ocsf.Config{Service: "docs-mcp", ServiceVersion: "1.4.2"})
//
// makes an [audit.Format] for a destination that sends messages.
//
// # What becomes what
//
// Attempts, outcomes and suppressed refusals, of any method and in either
// direction, are API Activity (class 6003) with activity 99 "Invoke". OCSF's own
// activities are create, read, update and delete, and which of them a tool does,
// only the tool knows. The operation is the method, so that no tool's name can pass
// for one. All others (gaps, prunings, recoveries, messages of the program,
// checkpoints, kinds of later versions) are Base Event (class 0) with their kind
// as activity_name. Application Lifecycle would say that something was started or
// stopped, and Application Error is unknown to the older versions.
//
//	the record                OCSF
//	origin:seq                metadata.uid, by which a receiver drops duplicates
//	origin, seq               metadata.log_name, metadata.sequence
//	event                     metadata.event_code
//	time                      metadata.original_time; in milliseconds: time
//	id                        metadata.correlation_uid, api.request.uid
//	method                    api.operation
//	name, tool                resources[0]: name, type, version, data (digests)
//	principal                 actor.user (uid, type, org), actor.session.issuer, actor.app_uid
//	policy                    actor.authorizations[0].policy.uid
//	source                    src_endpoint: ip and port, or the name "stdio"
//	arguments                 api.request.data: sizes, names, HMAC, chosen values
//	code, reason              status_code, status_detail, api.response.error, .error_message
//	result, is_error          api.response.data
//	count, first, last        count, start_time, end_time, duration
//	session, client           message_context: what the other side says of itself
//	trace                     trace.uid, trace.flags, unmapped.trace.span
//	credentials               unmapped.creds[]: name, provider, role, key_id, policy, expires
//	the rest                  unmapped
//
// Of an outgoing call (sampling, elicitation) the server is the src_endpoint and
// the peer the dst_endpoint. With AWS credentials, unmapped.creds[].key_id is
// userIdentity.accessKeyId of the CloudTrail events that the call caused.
//
// How a call ended:
//
//	                          status     action     disposition   severity
//	attempt                   99 Pending  1 Allowed   1 Allowed     1 Informational
//	allowed                    1 Success  1 Allowed   1 Allowed     1 Informational
//	allowed, with findings     1 Success  3 Observed 17 Logged      2 Low
//	refused                    2 Failure  2 Denied    2 Blocked     2 Low
//	error                      2 Failure  1 Allowed  27 Error       2 Low
//	unknown (crash)            0 Unknown  1 Allowed   0 Unknown     3 Medium
//	suppressed                 2 Failure  2 Denied    2 Blocked     3 Medium
//
// An attempt with findings is 99 Pending, 3 Observed, 17 Logged. A code that means
// that the server is not what was reviewed, or that somebody forges its state
// (attest.definition_mismatch, attest.server_mismatch, guard.foreign_handler,
// guard.forged_state, guard.outflanked), also in a finding, raises severity to 4
// High and sets is_alert. Gaps are High, recoveries and prunings Medium; a message
// of the program has the severity of its level: Informational, Low for WARN, Medium
// for ERROR.
//
// # Versions
//
// [Stable] is 1.8.0. [Compat] is 1.1.0 without profiles: action, disposition,
// trace and what the other side says of itself stand in unmapped. [Preview] is the
// coming 1.9, which adds ai_agent (the current actor, or the OAuth client) and
// attestation_list: chain_uid is the ledger's origin, prev_event the record before,
// and the fingerprints are RFC 6962 leaf hashes of ledger lines, that of prev_event
// cut to the 64 bits the line carries. They attest the line, which Config.RawData
// sends along, not the mapped event.
//
// Strings of 1.1.0 have at most 65,535 characters, so no version gets raw_data of
// a longer line.
//
// # What it stops
//
// Log injection: whatever a record holds, its event is one line of valid JSON in
// printable characters, and callers' text stands in string values only (the names
// under api.request.data.clear and unmapped.notes are the operator's choice). What
// a peer claims of itself never stands where OCSF has verified facts.
//
// # What it does not stop
//
// Loss of detail: an OCSF event is a view of the record, for searching and
// alerting. Proofs are about the ledger's line. Changes on the way: a receiver that
// must not trust the way needs raw_data and the checkpoints.
//
// Large numbers: OCSF's integers are 32 bits wide in some stores, and
// metadata.sequence passes that after two thousand million records; metadata.uid
// does not.
//
// A checkpoint has no time of its own: its event has that of its sending, which
// differs between deliveries of one checkpoint. Its metadata.uid does not.
package ocsf
