// Package allowlist is the control that says who may use what. Nothing is allowed
// that no rule allows, and what a principal may not use it does not see either.
//
// # What it stops
//
// A caller that runs a tool it was never given, by name or after a list was
// filtered elsewhere; reading resources, prompts and completions beside the ones
// that were granted; a tool that asks the user or the user's model for something
// when it has no business to; custom methods nobody thought of. A refusal looks
// like the answer for what does not exist.
//
// # What it does not stop
//
// Misuse of what is allowed: arguments and sequences are not looked at yet. A rule
// for [Anyone] includes the anonymous principal. Client names and session ids
// prove nothing and cannot be matched.
package allowlist
