// Package cef writes the audit record in two formats of security information
// systems: CEF:0 (ArcSight, and most others read it) and LEEF:2.0 (IBM QRadar).
//
//	format, err := cef.New(cef.Config{Version: "1.4.2"})      // CEF
//	format, err := cef.NewLEEF(cef.Config{Version: "1.4.2"})  // LEEF
//
// makes an [audit.Format] for a destination that sends messages, such as syslog.
//
//	CEF:0|mcpsec|mcpsec|1.4.2|ratelimit.exceeded|Call refused|5|rt=1795348800123 externalId=…
//	LEEF:2.0|mcpsec|mcpsec|1.4.2|ratelimit.exceeded|^|sev=5^devTime=2026-11-22T12:00:00.123+0000^…
//
// # Header
//
// The signature (LEEF: event id) is the code of a refusal or a panic, or else the
// kind of the event; its name is fixed words. Severity, 1 to 10:
//
//	1  attempt, allowed, checkpoint, message of the program (DEBUG, INFO)
//	3  kinds and decisions of later versions
//	4  allowed with findings, error, message of the program (WARN)
//	5  refused, recovery, records removed (pruned)
//	6  outcome unknown (crash), message of the program (ERROR)
//	7  suppressed refusals
//	8  gap
//	9  a code or finding that means that the server is not what was reviewed, or that
//	   somebody forges its state: attest.definition_mismatch, attest.server_mismatch,
//	   guard.foreign_handler, guard.forged_state, guard.outflanked
//
// # Fields
//
// In this order, where there is something to say. Times are milliseconds since
// 1970, but for devTime; all are UTC. The entries of a list are numbered from 1.
//
//	the record                 CEF                            LEEF
//	severity                   (header)                       sev
//	time                       rt                             devTime, devTimeFormat
//	origin:seq                 externalId                     mcpsecRecord
//	event                      cat                            the same
//	attempted, allowed, …      act                            mcpsecAction
//	success, failure, unknown  outcome                        mcpsecOutcome
//	seq                        cn1 Sequence                   mcpsecSequence
//	count                      cnt                            mcpsecCount
//	first, or attempt          start                          mcpsecStart
//	last, or answer            end                            mcpsecEnd
//	outgoing                   deviceDirection (0, 1)         mcpsecDirection
//	source.transport           mcpsecTransport                the same
//	source.address             src or c6a2, spt; else shost   src, srcPort; else mcpsecSource
//	  of an outgoing call      dst or c6a3, dpt; else dhost   dst, dstPort; else mcpsecDestination
//	id                         cs3 Call                       mcpsecCall
//	round                      cn3 Round                      mcpsecRound
//	parent                     mcpsecParent                   the same
//	policy                     cs4 Policy                     policy
//	control                    mcpsecControl                  the same
//	latency_us                 cn2 Latency in microseconds    mcpsecLatencyMicros
//	arguments.bytes            in                             srcBytes
//	result.bytes               out                            dstBytes
//	is_error                   mcpsecIsError                  the same
//	tool.digest                cs6 Definition                 mcpsecDefinition
//	tool.version               mcpsecToolVersion              the same
//	tool.code                  mcpsecToolCode                 the same
//	tool.manifest              mcpsecManifest                 the same
//	result.digest              mcpsecResultDigest             the same
//	arguments.hmac             mcpsecArgumentsHMAC            the same
//	level                      mcpsecLevel                    the same
//	subject, or else rung      suser                          usrName
//	rung                       mcpsecRung                     the same
//	issuer                     cs5 Issuer                     realm
//	client (OAuth)             sourceServiceName              mcpsecClient
//	tenant                     mcpsecTenant                   the same
//	credentials[]              mcpsecCredential1KeyID, …Role, …Provider, …Name, …Policy, …Expires, …Kept
//	method                     cs1 Method                     mcpsecMethod
//	why (reason)               reason; of a log event: msg    the same
//	detail                     msg                            the same
//	name                       cs2 Name                       resource
//	trace                      mcpsecTrace (ID-SPAN-FLAGS)    the same
//	untrusted.session          mcpsecClaimedSession           the same
//	untrusted.client           mcpsecClaimedClient            the same
//	actors[]                   mcpsecActor1                   the same
//	findings[]                 mcpsecFinding1Code, …Control, …Failed, …Reason, …Detail
//	notes                      mcpsecNote1Name, mcpsecNote1
//	arguments.clear            mcpsecArgument1Path, mcpsecArgument1
//	something is missing       mcpsecTruncated=true           the same
//
// A checkpoint has the time of its sending, its ID, cat=checkpoint, the number of
// records it covers (cn1 Size, mcpsecSize) and mcpsecCheckpoint, the signed text.
// Names of arguments and what was redacted are in the ledger only. With AWS
// credentials, a KeyID is userIdentity.accessKeyId of the CloudTrail events that
// the call caused.
//
// # Escapes
//
// CEF: in the header \| and \\, in fields \=, \\, \n and \r. LEEF knows no escapes.
// Under these, in both formats, what a text may not hold is spelled \u{HEX} with
// the code point: characters that are not visible (controls, bidirectional and
// zero-width ones, line separators, …), a space at either end of a text, in LEEF
// the delimiter and in its header the pipe, and a backslash before "u{". Replacing
// each \u{HEX} gives the text of the record back. In CEF that backslash is
// itself escaped: \\u{202e}.
//
// # What it stops
//
// Log injection: no text of a record can end its field, begin another, begin
// another message, or change what a terminal shows. No caller can make a message
// longer than Config.MaxBytes, or press what the server says out of it: a field has
// at most 1,023 bytes, longer ones end in "…", fields that do not fit are left out
// whole, and what callers say stands last. A message of which something is missing
// says so.
//
// # What it does not stop
//
// Loss of detail: a message is a view of the record, and its ID leads to the whole
// in the ledger. Tampering on the way: proofs are about the ledger's lines, which
// these formats do not carry. Search by pattern: who looks for "suser=root" in raw
// messages instead of parsed fields also finds it, in LEEF, in a tool's name.
package cef
