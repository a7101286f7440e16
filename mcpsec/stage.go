package mcpsec

import "fmt"

// A Stage is a control's place on the way of a call, from the outside in. The
// guard sorts controls by stage, because their order is a security property: a
// record that runs inside the limiter would miss what the limiter refused, and
// credentials handed out before authorisation would reach a caller without
// rights. The zero value is no stage and is refused by [New].
type Stage int

// The stages, outside in. Controls of one stage keep the order in which they
// were given to [New].
//
// StageAttest and those after it run beside the handler, inside the closure that
// [AddTool], [Wrap] and [WrapFor] put around it, once for every run of the
// handler: the SDK looks a tool up after all middleware, so only there is it
// certain which handler is about to run. For what has no such closure they run in
// the middleware. All other stages run once for each message: a client that retries a
// multi-round-trip call is decided about and recorded in every round, under one call
// id, and StageLimit counts the first only.
const (
	StageAudit   Stage = iota + 1 // the record; sees every refusal
	StageLimit                    // rate; skipped when a counted call comes back with the answers it asked for
	StageAllow                    // authorisation and behaviour
	StageInspect                  // content of arguments and results
	StageBudget                   // circuit breaker, concurrency, budget
	StageAttest                   // is this still the reviewed tool?
	StageCreds                    // credentials for this run only
	StageIntent                   // the record that this run is about to begin
)

var stageNames = [...]string{
	StageAudit: "audit", StageLimit: "limit", StageAllow: "allow", StageInspect: "inspect",
	StageBudget: "budget", StageAttest: "attest", StageCreds: "creds", StageIntent: "intent",
}

// String returns the stage's short name, or "Stage(n)" for a value that is none.
func (s Stage) String() string {
	if !s.valid() {
		return fmt.Sprintf("Stage(%d)", int(s))
	}
	return stageNames[s]
}

func (s Stage) valid() bool { return s >= StageAudit && s <= StageIntent }

// besideHandler reports whether controls of the stage run at the handler
// instead of in the middleware.
func (s Stage) besideHandler() bool { return s >= StageAttest }

// A Mode says what a control's refusal does. The words are those of SEP-2624.
type Mode int

const (
	// Enforce refuses the call. It is the zero value and the default.
	Enforce Mode = iota
	// Observe decides and records, and lets the call pass. SEP-2624 spells it
	// "audit"; the name here avoids a third meaning of that word. Install logs
	// a warning for every control in this mode.
	Observe
)

// String returns SEP-2624's spelling: "enforce" or "audit".
func (m Mode) String() string {
	switch m {
	case Enforce:
		return "enforce"
	case Observe:
		return "audit"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}
