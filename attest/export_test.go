package attest

import "time"

// SetClock replaces the clock of an Attestor that is not sealed yet.
func (a *Attestor) SetClock(now func() time.Time) { a.now = now }
