package ratelimit

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// An Amount is a sum in one unit: money, tokens or anything else that can be
// counted. It is held in millionths, as a whole number: nothing is ever rounded.
type Amount struct {
	Unit   string // "usd", "tokens"; a lower-case letter, then letters, digits and underscores, at most 32
	Micros int64  // millionths of the unit
}

// maxMicros bounds an amount, so that the sum of two is exact even where numbers
// are floating point, and the sum of a thousand does not overflow.
const maxMicros = 1 << 52

// USD is the unit of amounts written with a dollar sign.
const USD = "usd"

var (
	amountText = regexp.MustCompile(`^(\$)?([0-9]{1,10})(?:\.([0-9]{1,6}))?(?: ([a-z][a-z0-9_]{0,31}))?$`)
	unitText   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
)

// ParseAmount reads "$0.25" or a number and a unit, such as "1500 tokens". Numbers
// have up to six decimals.
func ParseAmount(text string) (Amount, error) {
	m := amountText.FindStringSubmatch(text)
	if len(m) == 0 || (m[1] != "") == (m[4] != "") {
		return Amount{}, fmt.Errorf(`%.40q is no amount: write "$0.25" or "1500 tokens", with up to six decimals`, text)
	}
	whole, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return Amount{}, fmt.Errorf("%.40q is no amount: %w", text, err)
	}
	fraction, err := strconv.ParseInt((m[3] + "000000")[:6], 10, 64)
	if err != nil {
		return Amount{}, fmt.Errorf("%.40q is no amount: %w", text, err)
	}
	a := Amount{USD, whole*1_000_000 + fraction}
	if m[4] != "" {
		a.Unit = m[4]
	}
	return a, a.check()
}

// Units returns n whole units.
func Units(n int64, unit string) Amount {
	if n > math.MaxInt64/1_000_000 || n < math.MinInt64/1_000_000 {
		return Amount{unit, math.MaxInt64} // refused wherever it is used
	}
	return Amount{unit, n * 1_000_000}
}

func (a Amount) check() error {
	switch {
	case !unitText.MatchString(a.Unit):
		return fmt.Errorf("%.40q is no unit: use lower-case letters, digits and underscores", a.Unit)
	case a.Micros < 0:
		return fmt.Errorf("%d millionths: an amount is not negative", a.Micros)
	case a.Micros > maxMicros:
		return fmt.Errorf("%d millionths are too many: use a larger unit", a.Micros)
	}
	return nil
}

// String writes the amount as ParseAmount reads it.
func (a Amount) String() string {
	sign, n := "", uint64(a.Micros) //nolint:gosec // the sign is handled below
	if a.Micros < 0 {
		sign, n = "-", -n
	}
	number := strconv.FormatUint(n/1_000_000, 10)
	if f := n % 1_000_000; f != 0 {
		number += "." + strings.TrimRight(fmt.Sprintf("%06d", f), "0")
	}
	if a.Unit == USD {
		return sign + "$" + number
	}
	return sign + number + " " + a.Unit
}
