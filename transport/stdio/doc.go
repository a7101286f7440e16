// Package stdio serves a guarded server to the local process that started it.
//
// # What it stops
//
// Messages that two JSON readers read differently, and unknown or malformed ones
// that the SDK would answer by itself, unrecorded and unlimited: see
// [mcpsec.Guard.Transport]. The principal of every call is the user that the
// process at the other end of the pipe runs as, instead of nobody.
//
// # What it does not stop
//
// Anything the server process itself does: it is not confined yet. Every process
// of the same user looks the same.
package stdio
