// Package stream knows what is open on a server, for whom, and ends it when it may no
// longer be: calls under way, event streams and sessions, each under the principal whose
// credentials opened it. It bounds how many there are of one principal and in total.
//
// The registry decides; what ending means is up to the [Target]. One goroutine of the
// caller drives it with [Registry.Sweep]; nothing else runs by itself.
package stream
