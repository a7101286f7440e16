package audit

import (
	"fmt"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

var codeUnavailable = mcpsec.Code{
	Name:    "audit.unavailable",
	Kind:    mcpsec.Unavailable,
	Meaning: "The call could not be recorded: either it did not run, or its result was withheld, as the detail says.",
	Remedy:  "See the detail for the sink that failed; free the disk or restore the sink, and calls pass again by themselves.",
}

// Codes lists the package's refusal codes.
func Codes() []mcpsec.Code { return []mcpsec.Code{codeUnavailable} }

// unavailable refuses a call because of what a sink said. The call's answer is
// not told: an unrecorded refusal and an unrecorded result look the same.
func unavailable(happened string, err error) *mcpsec.Denial {
	d := codeUnavailable.Deny("the call could not be recorded").Because(err)
	d.Detail = fmt.Sprintf("%s: %v", happened, err)
	return d
}
