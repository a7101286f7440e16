package main

import (
	"bytes"
	"container/list"
	"strconv"

	"github.com/mcpsec/mcpsec-go/audit"
)

// openCall is the verdict on a call whose attempt has no outcome yet.
const openCall = "open"

// The bounds of the attempts kept while their outcomes are awaited. What the guard
// records is small; a line that somebody made may have a megabyte.
const (
	maxOpenCalls = 10_000
	maxOpenBytes = 32 << 20
)

// An auditCall is one run of a call: its attempt, its outcome, or both.
type auditCall struct{ attempt, outcome *auditEntry }

type callKey struct {
	id    string
	round int
}

// A callJoin brings attempts and outcomes together while the ledger is read.
type callJoin struct {
	filter *auditFilter
	emit   func(auditCall) error
	open   map[callKey]*list.Element
	order  *list.List // of *auditEntry, the oldest attempt first
	bytes  int        // of their lines
}

func newCallJoin(f *auditFilter, emit func(auditCall) error) *callJoin {
	return &callJoin{filter: f, emit: emit, open: make(map[callKey]*list.Element), order: list.New()}
}

// add takes the next record. What is neither attempt nor outcome belongs to no call.
func (j *callJoin) add(e auditEntry) error {
	if e.fault != nil {
		return j.emit(auditCall{outcome: &e})
	}
	key := callKey{e.event.ID, e.event.Round}
	switch e.event.Kind {
	case audit.Attempt:
		for j.order.Len() > 0 && (j.order.Len() == maxOpenCalls || j.bytes+len(e.line) > maxOpenBytes) {
			if err := j.settle(j.order.Front()); err != nil {
				return err
			}
		}
		e.line = bytes.Clone(e.line)
		j.bytes += len(e.line)
		j.open[key] = j.order.PushBack(&e)
	case audit.Outcome:
		call := auditCall{outcome: &e}
		if at, ok := j.open[key]; ok {
			call.attempt = j.forget(at)
		}
		if j.filter.matchEnd(e.event) {
			return j.emit(call)
		}
	default:
	}
	return nil
}

// rest lists the calls that are still open.
func (j *callJoin) rest() error {
	for j.order.Len() > 0 {
		if err := j.settle(j.order.Front()); err != nil {
			return err
		}
	}
	return nil
}

func (j *callJoin) settle(at *list.Element) error {
	attempt := j.forget(at)
	open := *attempt.event
	open.Decision = openCall
	if !j.filter.matchEnd(&open) {
		return nil
	}
	return j.emit(auditCall{attempt: attempt})
}

func (j *callJoin) forget(at *list.Element) *auditEntry {
	attempt, _ := j.order.Remove(at).(*auditEntry) // it holds nothing else
	key := callKey{attempt.event.ID, attempt.event.Round}
	j.bytes -= len(attempt.line)
	if j.open[key] == at {
		delete(j.open, key)
	}
	return attempt
}

func (c auditCall) listed(colours bool) string {
	if c.outcome == nil {
		open := *c.attempt.event
		open.Decision = openCall
		return listed(auditEntry{seq: c.attempt.seq, event: &open}, colours)
	}
	s := listed(*c.outcome, colours)
	if c.attempt != nil {
		s += " from=" + strconv.FormatUint(c.attempt.seq, 10)
	}
	return s
}

func (c auditCall) json() string {
	if c.outcome != nil && c.outcome.fault != nil {
		return jsonLine(*c.outcome)
	}
	s := "{"
	if c.attempt != nil {
		s += `"attempt":` + jsonLine(*c.attempt)
		if c.outcome != nil {
			s += ","
		}
	}
	if c.outcome != nil {
		s += `"outcome":` + jsonLine(*c.outcome)
	}
	return s + "}"
}
