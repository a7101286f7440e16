package ratelimit

import (
	"slices"
	"strings"
)

// cut makes a reason fit, and the text that JSON can hold.
func cut(reason string) string {
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	return strings.ToValidUTF8(reason, "")
}

// hold freezes a target in this process.
func (s *Switch) hold(f Freeze) {
	s.memory.Lock()
	defer s.memory.Unlock()
	old := s.frozen.Load()
	if contains(old.list, f.Target) || len(old.list) >= maxFrozen && f.Target.kind != everything {
		return
	}
	s.held = append(slices.Clip(s.held), f)
	s.keep(old.list, old.fault)
}

// keep makes a list, and what is held, what is frozen. s.memory is held.
func (s *Switch) keep(list []Freeze, fault error) {
	list = slices.Clip(list)
	for _, f := range s.held {
		if !contains(list, f.Target) {
			list = append(list, f)
		}
	}
	next := newFrozen(list)
	next.fault = fault
	s.frozen.Store(next)
}

// crowded reports whether there are too many targets beside everything.
func crowded(list []Freeze) bool {
	n := len(list)
	if contains(list, Everything()) {
		n--
	}
	return n > maxFrozen
}

func contains(list []Freeze, t Target) bool {
	return slices.ContainsFunc(list, func(f Freeze) bool { return f.Target == t })
}
