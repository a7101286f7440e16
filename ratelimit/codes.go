package ratelimit

import "github.com/mcpsec/mcpsec-go/mcpsec"

var (
	codeExceeded = mcpsec.Code{
		Name: "ratelimit.exceeded", Kind: mcpsec.Throttled,
		Meaning: "More calls than a rate limit allows, by this principal or, for a limit per tool, by all of them together.",
		Remedy:  "Wait as long as retryAfterMs says; if honest use is refused, raise the limit that the detail names.",
	}
	codeInFlight = mcpsec.Code{
		Name: "ratelimit.too_many_in_flight", Kind: mcpsec.Throttled,
		Meaning: "As many calls or subscription streams as allowed are running, of this principal or of all of them together.",
		Remedy:  "Wait for one of them to end; if none does, look for handlers that ignore their context.",
	}
	codeBreakerOpen = mcpsec.Code{
		Name: "ratelimit.breaker_open", Kind: mcpsec.Throttled,
		Meaning: "The tool failed several times in a row and rests, or one call is trying whether it works again.",
		Remedy:  "Repair what the tool depends on; the breaker closes by itself with the first call that succeeds.",
	}
)

// Codes lists the refusal codes of this package, sorted by name. All are of kind
// [mcpsec.Throttled].
func Codes() []mcpsec.Code {
	return []mcpsec.Code{codeBreakerOpen, codeExceeded, codeInFlight}
}
