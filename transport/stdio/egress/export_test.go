package egress

import "testing"

// A World is what tests outside the package see of an [internet].
type World struct {
	Config   Config // for a server of the standard policy
	Rules    []string
	RootFile string
	Dialled  func() []string
	Refusals func() []string
}

func NewWorld(tb testing.TB) *World {
	tb.Helper()
	w := newInternet(tb)
	return &World{w.config(tb, standard...), standard, w.rootFile, w.dialled, w.refusals}
}
