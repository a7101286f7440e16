// Package audit keeps the record: who called what, with which result, and what
// was refused and why.
//
//	guard, err := mcpsec.New(
//		audit.New(audit.File("audit.jsonl"), audit.Console(os.Stderr)),
//		...
//	)
//	defer guard.Close() // writes out what is still buffered
//
// # The record
//
// Every call leaves two events that share the call's id: an [Attempt] before
// anything else runs, and an [Outcome] when its answer is known. An attempt
// without an outcome is a call that was cut off, for example by a crash. An
// outcome repeats what the attempt said, so that each line can be read alone.
// The runs of a multi-round-trip call share an id and differ in their round; if
// one id and round has several outcomes, the last one counts.
//
// # What it stops
//
// Calls that leave no trace: the [Logger] stands outside every other control, so
// it also records what they refuse, and a call whose attempt cannot be recorded
// does not run. If its outcome cannot be recorded, its result is withheld. Both
// are refused as audit.unavailable.
//
// Log injection: callers choose tool names, URIs, session ids and parts of their
// identity. In the record they can neither start a new line, nor end a string,
// nor reach a terminal with an escape sequence, nor hide or reorder text with
// invisible and bidirectional characters, nor grow a line without bound.
//
// Secrets in the log: of the arguments only the size and the names of the top
// level members are recorded, never a value. Texts that others wrote about a call
// (a schema validator's complaint, a panic) are searched for the call's argument
// values, and those are blanked. The text of an error that a handler returned is
// not recorded, only its type.
//
// # What it does not stop
//
// Tampering: whoever may write to the file can change, cut or replace it, and
// nothing in it shows that. Removing or renaming the file while it is open is not
// noticed either. Send the record to another machine as well ([To]) if that
// matters.
//
// Loss: [File] buffers. If the process is killed or ends without closing the
// guard, what was recorded in its last 200 ms is lost, at most 64 KiB or one
// longer record. If the machine loses power, what the operating system had not yet
// written is lost too: the file is synced only when it is closed. A full disk is
// noticed at the next write, so calls of up to 200 ms run before the first is
// refused.
//
// Disguised values: a text that quotes an argument in part, or in another form
// than the one received, is not recognised. Tool names, resource URIs and member
// names are recorded as the caller chose them: one who puts a secret there finds
// it in the log. The notes of controls are recorded as they are.
//
// Blanked words: a caller who guesses the words of a reason or detail can send
// them as values, and they are blanked. Codes and names of controls never are.
package audit
