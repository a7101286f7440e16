package mcpsec

import (
	"errors"
	"fmt"
	"time"
)

// A Kind decides how a refusal looks on the wire. The zero value is Unavailable,
// which says least.
type Kind int

// The kinds of refusal.
const (
	// Unavailable: attestation, record or credentials cannot be had. A JSON-RPC
	// error with code and call id only.
	Unavailable Kind = iota
	// Throttled: rate, concurrency, breaker or budget. JSON-RPC error -32029
	// with retryAfterMs.
	Throttled
	// NotFound: not for this principal. The same answer as for a tool, prompt,
	// resource or method that does not exist, so that nobody learns which do.
	NotFound
	// BadArguments: a tool result with isError that names the argument and the
	// rule, so that a model can correct itself; -32602 for other methods.
	BadArguments
	// BadRequest: the message itself is unacceptable. JSON-RPC error -32602, or the
	// SDK's own code for what the SDK rejects.
	BadRequest
	// Unauthenticated and Forbidden: JSON-RPC errors -32011 and -32012, until a
	// transport answers them with HTTP 401 and 403.
	Unauthenticated
	Forbidden
	// Crashed: a handler panicked. JSON-RPC error -32603 without text.
	Crashed
)

var kindNames = [...]string{
	"unavailable", "throttled", "not found", "bad arguments", "bad request",
	"unauthenticated", "forbidden", "crashed",
}

// String returns the kind in words.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kindNames[k]
}

// A Code is one reason for refusal, with what an operator needs to know of it.
// Each package lists its codes with a function Codes. A Code never changes its
// meaning.
type Code struct {
	Name    string // stable: "package.reason"
	Kind    Kind
	Meaning string // what happened, one sentence
	Remedy  string // what to do about it, one sentence
}

// Deny makes a Denial of the code. The reason may be shown to a model: it names
// no secret, no digest and nothing of another principal.
func (c Code) Deny(reason string) *Denial {
	return &Denial{Code: c.Name, Kind: c.Kind, Reason: reason}
}

// A Denial is a refused call: the only way a control refuses. It is mapped to the
// wire once, by the guard. A Denial is written by the control that makes it and
// by the guard; nobody changes it once the call has returned.
type Denial struct {
	Code       string        // stable name, such as "ratelimit.exceeded"
	Kind       Kind          // how it looks on the wire
	Control    string        // which control refused; the guard fills it in
	Reason     string        // safe to show the caller; may quote the caller's own arguments
	Detail     string        // for the operator's log only
	RetryAfter time.Duration // when a retry may succeed; 0 when unknown
	CallID     string        // the guard fills it in
	// Failure is set when the control could not decide, for example because a
	// store is down: FailOpen lets such a call pass.
	Failure bool

	cause error
}

// Error returns code and reason; never the detail.
func (d *Denial) Error() string {
	if d.Reason == "" {
		return d.Code
	}
	return d.Code + ": " + d.Reason
}

// Unwrap returns the error behind the refusal, or nil.
func (d *Denial) Unwrap() error { return d.cause }

// Because records the error behind the refusal as cause and detail, and returns d.
func (d *Denial) Because(err error) *Denial {
	d.cause = err
	if err != nil && d.Detail == "" {
		d.Detail = err.Error()
	}
	return d
}

// AsFailure marks the refusal as the control's own failure, and returns d.
func (d *Denial) AsFailure() *Denial {
	d.Failure = true
	return d
}

// After sets RetryAfter and returns d.
func (d *Denial) After(wait time.Duration) *Denial {
	d.RetryAfter = wait
	return d
}

// AsDenial finds the Denial in err, or returns nil.
func AsDenial(err error) *Denial {
	if err == nil {
		return nil
	}
	d, _ := errors.AsType[*Denial](err)
	return d
}
