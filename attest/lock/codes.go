package lock

import "github.com/mcpsec/mcpsec-go/mcpsec"

var (
	codeChanged = mcpsec.Code{
		Name: "lock.changed", Kind: mcpsec.Unavailable,
		Meaning: "The upstream server shows another definition, or says other things of itself, than was approved in the lock file.",
		Remedy:  "Run mcpsec lock review, which shows the difference, and approve or reject it.",
	}
	codeMalformed = mcpsec.Code{
		Name: "lock.malformed", Kind: mcpsec.Unavailable,
		Meaning: "The upstream server's answer is not strict JSON of the expected form, or beyond a limit, so that nobody can say what it pins.",
		Remedy:  "Report it to the author of the server; the message says what is wrong.",
	}
	codeUnapproved = mcpsec.Code{
		Name: "lock.unapproved", Kind: mcpsec.Unavailable,
		Meaning: "The upstream server, or a definition it shows or that is used, was never approved in the lock file.",
		Remedy:  "Run mcpsec lock add for a new server or mcpsec lock review for a new definition, and approve or reject it.",
	}
	codeUnreadable = mcpsec.Code{
		Name: "lock.unreadable", Kind: mcpsec.Unavailable,
		Meaning: "The lock file cannot be read or written, so that nothing is approved.",
		Remedy:  "Repair the lock file, for example from version control, or give the user the right to its folder; the message says what is wrong.",
	}
)

// Codes lists the package's refusal codes, sorted by name.
func Codes() []mcpsec.Code {
	return []mcpsec.Code{codeChanged, codeMalformed, codeUnapproved, codeUnreadable}
}
