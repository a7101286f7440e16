package ratelimit

import "time"

// An account is what was booked against one budget: an amount for each slot of its
// window, and a debt. See [Reservation] for its rules.
type account struct {
	last  int64   // the newest slot
	slots []int64 // by index modulo their number; those not in the window are 0
	debt  int64

	window Window // of the last reservation, for the sweep
	limit  int64
}

func newAccount(w Window, now time.Time) *account {
	return &account{last: w.Slot(now).Index, slots: make([]int64, w.Slots()), window: w}
}

// at returns the amount of a slot in the window.
func (a *account) at(index int64) *int64 {
	n := int64(len(a.slots))
	return &a.slots[((index%n)+n)%n]
}

func (a *account) sum() (total int64) {
	for _, amount := range a.slots {
		total += amount
	}
	return total
}

// roll moves the account on to the slot of now. Time never goes back.
func (a *account) roll(now time.Time, limit int64) {
	a.limit = limit
	s := int64(len(a.slots))
	if gap := a.window.Slot(now).Index - a.last; gap > 0 {
		for i := a.last + 1; i <= a.last+min(gap, s); i++ {
			*a.at(i) = 0
		}
		if windows := gap/s - 1; windows > 0 && a.debt > 0 {
			if windows > a.debt/limit {
				a.debt = 0
			} else {
				a.debt -= windows * limit
			}
		}
		a.last += gap
	}
	if a.debt > 0 {
		move := min(a.debt, max(0, limit-a.sum()))
		*a.at(a.last) += move
		a.debt -= move
	}
}

// level is what the window holds and the debt.
func (a *account) level() int64 { return a.sum() + a.debt }

// fits reports whether an amount may be booked.
func (a *account) fits(amount int64) bool { return a.level() <= a.limit-amount }

// book books an amount that was spent, whatever the limit.
func (a *account) book(amount int64) {
	inWindow := min(amount, max(0, a.limit-a.sum()))
	*a.at(a.last) += inWindow
	a.debt = min(maxDebt, a.debt+amount-inWindow)
}

// maxDebt keeps sums of debts from overflowing, here and where numbers are floating
// point.
const maxDebt = 1<<53 - 1

// refund takes back what was booked in a slot and not spent.
func (a *account) refund(index, amount int64) {
	if index > a.last-int64(len(a.slots)) && index <= a.last {
		slot := a.at(index)
		*slot = max(0, *slot-amount)
	}
}

// wait returns how long it takes until an amount fits if nothing else comes; with a
// debt on a sliding window, how long at least. The account has rolled to now.
func (a *account) wait(now time.Time, amount int64) time.Duration {
	s := int64(len(a.slots))
	steps := int64(1)
	if s == 1 {
		// The next window takes up one limit of the debt, and so does each after it.
		if over := a.debt - (a.limit - min(amount, a.limit)); over > 0 {
			steps += (over + a.limit - 1) / a.limit
		}
	} else {
		left := a.sum()
		for ; steps < s; steps++ {
			left -= *a.at(a.last - s + steps)
			if left+a.debt+amount <= a.limit {
				break
			}
		}
	}
	slot := a.window.Slot(now)
	if ahead := a.last - slot.Index; ahead > 0 { // the clock went back
		steps += ahead
	}
	for range min(steps-1, maxSteps) {
		slot = a.window.Slot(slot.End)
	}
	return max(1, slot.End.Sub(now))
}

// maxSteps bounds how far into the future a wait is worked out, in windows.
const maxSteps = 1000

// empty reports whether the account is the same as none. It has rolled to now.
func (a *account) empty() bool { return a.level() == 0 }
