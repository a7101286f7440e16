// Package audit keeps the record: who called what, with which result, and what
// was refused and why. It is a condition of the call, it shows when it was altered,
// and it arrives.
//
//	guard, err := mcpsec.New(
//		audit.New(
//			audit.Dir("/var/lib/notes/audit"),
//			audit.Ship("siem", destination, audit.Required()),
//		),
//		...
//	)
//	defer guard.Close() // writes what is queued, signs, delivers the last records
//
// # The record
//
// A call that the controls let pass leaves two events that share the call's id: an
// [Attempt], before its handler runs, with what the controls decided and noted, and
// an [Outcome], when its answer is known. A call that was refused leaves an outcome
// only, and so do lists, pings and notifications. An outcome repeats what the
// attempt said, so that each line can be read alone. An attempt without an outcome
// was cut off by a crash: the next start closes it as [Unknown]. The runs of a
// multi-round-trip call share an id and differ in their round; an outcome is that of
// every attempt of its id up to its round, and the last one counts.
//
// A server that does not start because a control refused it, for a manifest that nobody
// trusted has signed, say, leaves a [Log] event with the code guard.not_installed and the
// cause as its detail.
//
// [Dir] keeps it in a ledger, see audit/ledger. [Ship] takes it from there to other
// systems, in a [Format] of theirs: audit/ocsf, audit/cef, or the lines as they
// stand ([JSON]). Destinations are audit/syslog, audit/otel, audit/aws, audit/kafka
// and audit/nats. [NewHandler] takes a program's own log/slog messages in, and
// [Console] shows the stream to a person.
//
// # What it stops
//
// Calls that leave no trace: a call whose attempt cannot be recorded does not run,
// and if its outcome cannot be recorded, its result is withheld. Both are refused as
// audit.unavailable. How hard the record is waited for depends on what is at stake,
// see [Classify]: a refusal, a credential issued and a destructive tool are on the
// disk before anybody hears of them; of ordinary calls a crash can lose the last 10
// ms; lists may be lost, with count. No call waits for another system.
//
// Alteration that nobody notices: the ledger chains and signs its records, and a
// signature held elsewhere proves any later change of what it covers.
//
// A full disk by refusals: of one principal and code so many are recorded one by
// one, and the others counted ([Refusals]).
//
// Log injection: callers choose tool names, URIs, session ids and parts of their
// identity. In the record they can neither start a new line, nor end a string,
// nor reach a terminal with an escape sequence, nor hide or reorder text with
// invisible and bidirectional characters, nor grow a line without bound.
//
// Secrets in the log: of the arguments the size, the names of the top level members
// and an HMAC are recorded, and values only where [LogArguments] asks for them and
// neither schema nor name nor looks forbid it. Texts that others wrote about a call
// (a schema validator's complaint, a panic) are searched for the call's argument
// values, and those are blanked; so is, in every text, what looks like a credential
// or is one that the process holds ([HeldSecrets]). The text of an error that a
// handler returned is not recorded, only its type.
//
// # What it does not stop
//
// Whoever has the ledger's signing key can write any history that nobody outside has
// seen a signature of: take checkpoints elsewhere ([Ship], [Anchor], [AnchorFile]),
// or keep the key elsewhere ([SignedBy]). Whoever can write to the folder can cut off
// the end of the record back to the last such signature.
//
// A crash while a control decides: nothing has run yet, and nothing is recorded. The
// refusals that a flood has swallowed and that are not yet counted on disk are lost
// with the process, those of up to 10 seconds.
//
// Disguised values: a text that quotes an argument in part, or in another form
// than the one received, is not recognised. Tool names, resource URIs and member
// names are recorded as the caller chose them: one who puts a secret there that
// looks like none finds it in the log. The notes of controls are recorded as they
// are, but for what looks like a secret.
//
// Blanked words: a caller who guesses the words of a reason or detail can send
// them as values, and they are blanked. Codes and names of controls never are.
//
// Handlers that run calls of their own without the guard, and what a tool does
// beyond its answer: the record says that it ran, not what it did.
package audit
