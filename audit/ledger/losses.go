package ledger

import (
	"encoding/json"
	"time"
)

// losses counts the records that are not in the log, by reason and class, until a
// gap record says so in it.
type losses struct {
	reasons []loss
}

type loss struct {
	class       Class
	why         string
	count       uint64
	first, last time.Time
}

// maxReasons bounds the reasons told apart. They are this program's own, few texts.
const maxReasons = 32

func (l *losses) addMany(class Class, why string, now time.Time, count uint64) {
	for i := range l.reasons {
		if r := &l.reasons[i]; r.class == class && r.why == why {
			r.count += count
			r.last = now
			return
		}
	}
	if len(l.reasons) == maxReasons {
		why = "other reasons"
		if r := &l.reasons[maxReasons-1]; r.why == why {
			r.count += count
			r.last = now
			return
		}
		r := &l.reasons[maxReasons-1]
		*r = loss{r.class, why, r.count + count, r.first, now}
		return
	}
	l.reasons = append(l.reasons, loss{class, why, count, now, now})
}

func (l *losses) total() (n uint64) {
	for _, r := range l.reasons {
		n += r.count
	}
	return n
}

// merge puts back what could not be written.
func (l *losses) merge(o losses) {
	for _, r := range o.reasons {
		l.addMany(r.class, r.why, r.last, r.count)
		for i := range l.reasons {
			if m := &l.reasons[i]; m.class == r.class && m.why == r.why && r.first.Before(m.first) {
				m.first = r.first
			}
		}
	}
}

// A report is a record of the ledger itself, in the form of an audit event.
type report struct {
	Time   time.Time         `json:"time"`
	Event  string            `json:"event"`
	Count  uint64            `json:"count,omitempty"`
	First  *time.Time        `json:"first,omitempty"`
	Last   *time.Time        `json:"last,omitempty"`
	Reason string            `json:"reason"`
	Detail string            `json:"detail,omitempty"`
	Notes  map[string]string `json:"notes,omitempty"`
}

// Events of the ledger itself.
const (
	eventGap      = "gap"
	eventRecovery = "recovery"
	eventPruned   = "pruned"
)

func (r *report) object() []byte {
	r.Time = r.Time.UTC()
	b, err := json.Marshal(r)
	if err != nil { // strings, numbers and times of this millennium
		panic("ledger: " + err.Error())
	}
	return b
}

func (l loss) object(now time.Time) []byte {
	first, last := l.first.UTC(), l.last.UTC()
	return (&report{
		Time: now, Event: eventGap, Count: l.count, First: &first, Last: &last,
		Reason: l.why, Notes: map[string]string{"class": l.class.String()},
	}).object()
}
