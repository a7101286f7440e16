package ratelimit

import (
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// surgeHistory is how many minutes in which something was spent it takes to know
// what is usual.
const surgeHistory = 10

// surges watches what principals spend in a minute against what they usually do. It
// tells sudden changes, and is no limit: a principal that finds no room is not
// watched, and who begins high stays unnoticed. For limits there are budgets.
type surges struct {
	factor int64

	mu    sync.Mutex
	paces map[digest]*pace
	sweep time.Time
}

// A pace is what one principal spends in one unit.
type pace struct {
	minute  int64 // now, since 1970
	spent   int64 // in it
	usual   int64 // moving average over minutes in which something was spent
	minutes int   // those, up to surgeHistory
}

func newSurges(factor int) *surges {
	return &surges{factor: int64(factor), paces: make(map[digest]*pace)}
}

// spend notes what a call may cost and refuses it when the principal spends more
// than factor times the usual in a minute.
func (s *surges) spend(who digest, cost int64, now time.Time) *mcpsec.Denial {
	if cost == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pace(who, now)
	if p == nil {
		return nil
	}
	p.roll(now.Unix() / 60)
	if p.minutes >= surgeHistory && plus(p.spent, cost)/s.factor > p.usual {
		wait := time.Unix((p.minute+1)*60, 0).Sub(now)
		d := codeLoop.Deny("far more is spent than usual; retry in " + inWords(wait)).After(max(1, wait))
		d.Detail = "SpendSurge"
		return d
	}
	p.spent = plus(p.spent, cost)
	return nil
}

// roll ends the minutes that are over. Minutes in which nothing was spent say
// nothing of what is usual.
func (p *pace) roll(minute int64) {
	if minute <= p.minute {
		return
	}
	if p.spent > 0 {
		if p.minutes < surgeHistory {
			p.minutes++
		}
		p.usual += (p.spent - p.usual) / int64(p.minutes)
	}
	p.minute, p.spent = minute, 0
}

func (s *surges) pace(who digest, now time.Time) *pace {
	if p := s.paces[who]; p != nil {
		return p
	}
	minute := now.Unix() / 60
	if len(s.paces) >= maxTrails && !now.Before(s.sweep) {
		s.sweep = now.Add(time.Minute)
		for k, p := range s.paces {
			if minute-p.minute > 24*60 {
				delete(s.paces, k)
			}
		}
	}
	if len(s.paces) >= maxTrails {
		return nil
	}
	p := &pace{minute: minute}
	s.paces[who] = p
	return p
}
