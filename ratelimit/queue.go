package ratelimit

import "slices"

// A queue holds calls that wait for a slot. Principals take turns: whoever has many
// calls waiting delays its own, and those of nobody else. Among the calls of one
// principal the oldest that finds a slot is first, so that a call that waits for a
// busy tool does not keep back those for others.
type queue struct {
	waiting int
	turns   []*turn // of principals with calls waiting, the next one first
	byKey   map[string]*turn
}

// A turn is one principal's calls in the queue, oldest first.
type turn struct {
	key   string
	calls []*waiter
}

type waiter struct {
	key, tool string
	ready     chan struct{} // closed when it has a slot
	admitted  bool
}

// of returns how many calls of a principal wait.
func (q *queue) of(key string) int {
	if t := q.byKey[key]; t != nil {
		return len(t.calls)
	}
	return 0
}

func (q *queue) add(key, tool string) *waiter {
	t := q.byKey[key]
	if t == nil {
		if t = (&turn{key: key}); q.byKey == nil {
			q.byKey = make(map[string]*turn)
		}
		q.byKey[key] = t
		q.turns = append(q.turns, t)
	}
	w := &waiter{key: key, tool: tool, ready: make(chan struct{})}
	t.calls = append(t.calls, w)
	q.waiting++
	return w
}

// next takes the first call that may go out of the queue, and its principal to the
// end of the line; nil if none may.
func (q *queue) next(may func(*waiter) bool) *waiter {
	for i, t := range q.turns {
		for _, w := range t.calls {
			if !may(w) {
				continue
			}
			q.turns = append(slices.Delete(q.turns, i, i+1), t)
			q.remove(w)
			return w
		}
	}
	return nil
}

func (q *queue) remove(w *waiter) {
	t := q.byKey[w.key]
	t.calls = slices.DeleteFunc(t.calls, func(c *waiter) bool { return c == w })
	q.waiting--
	if len(t.calls) == 0 {
		delete(q.byKey, w.key)
		q.turns = slices.DeleteFunc(q.turns, func(c *turn) bool { return c == t })
	}
}
