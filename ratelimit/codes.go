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
		Meaning: "As many calls or subscription streams as allowed are running, of this principal, of this tool or of all of them together, and the queue is full or the wait in it was too long.",
		Remedy:  "Wait for one of them to end; if none does, look for handlers that ignore their context.",
	}
	codeBreakerOpen = mcpsec.Code{
		Name: "ratelimit.breaker_open", Kind: mcpsec.Throttled,
		Meaning: "The tool, or what it depends on, failed or was too slow too often and rests, or calls are trying whether it works again.",
		Remedy:  "Repair what the tool depends on; the breaker closes by itself when the calls that try it succeed.",
	}
	codeBudget = mcpsec.Code{
		Name: "ratelimit.over_budget", Kind: mcpsec.Throttled,
		Meaning: "The call may cost more than is left of a budget, or has cost more than was reserved for it.",
		Remedy:  "Wait as long as retryAfterMs says, if it is given; otherwise raise the budget that the detail names, or lower the price.",
	}
	codeUnbounded = mcpsec.Code{
		Name: "ratelimit.unbounded_sample", Kind: mcpsec.Throttled,
		Meaning: "The server asked the client for a sample without a maxTokens that its price allows, so that nobody could say what it costs.",
		Remedy:  "Set maxTokens in the handler's request, or raise the most tokens in PriceSampling(...).PerToken.",
	}
	codeLoop = mcpsec.Code{
		Name: "ratelimit.loop", Kind: mcpsec.Throttled,
		Meaning: "The principal's calls look like a loop: the same call again and again, two tools in turn, too many questions by one call, or a sudden rise in what it spends.",
		Remedy:  "Look at the agent behind the principal; if it is honest, raise the number that the detail names.",
	}
	codeFrozen = mcpsec.Code{
		Name: "ratelimit.frozen", Kind: mcpsec.Unavailable,
		Meaning: "An operator has frozen this principal, this tool or everything, or the file that says so cannot be read.",
		Remedy:  "See the reason with mcpsec status and lift it with mcpsec thaw; if the file cannot be read, repair it.",
	}
	codeStore = mcpsec.Code{
		Name: "ratelimit.store_unavailable", Kind: mcpsec.Unavailable,
		Meaning: "The store that holds limits for several processes did not answer, and the limit is closed during an outage.",
		Remedy:  "Repair the store; to go on without it, give the limit OnOutage(LocalShare(n)).",
	}
)

// Codes lists the refusal codes of this package, sorted by name.
func Codes() []mcpsec.Code {
	return []mcpsec.Code{
		codeBreakerOpen, codeExceeded, codeFrozen, codeLoop, codeBudget,
		codeStore, codeInFlight, codeUnbounded,
	}
}
