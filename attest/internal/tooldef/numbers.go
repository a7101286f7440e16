package tooldef

import (
	"fmt"
	"strconv"
	"strings"
)

// checkNumbers refuses numbers that RFC 8785 does not keep. The JSON is known to
// be valid.
func checkNumbers(data []byte) error {
	for i := 0; i < len(data); {
		switch c := data[i]; {
		case c == '"':
			i = afterString(data, i)
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(data) && strings.IndexByte("0123456789+-.eE", data[end]) >= 0 {
				end++
			}
			if !kept(string(data[i:end])) {
				return fmt.Errorf("the number at offset %d is not kept exactly by RFC 8785", i)
			}
			i = end
		default:
			i++
		}
	}
	return nil
}

// afterString returns the offset after the string that begins at i.
func afterString(data []byte, i int) int {
	for i++; data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// kept reports whether the shortest text of the double nearest to a JSON number,
// which is what RFC 8785 writes, denotes the same value as the number. So no two
// numbers that are kept and differ are written alike.
func kept(number string) bool {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return false // overflow
	}
	value := decimalOf(number)
	if value.digits == "" {
		return number[0] != '-' // minus zero becomes zero
	}
	return value == decimalOf(strconv.FormatFloat(f, 'e', -1, 64))
}

// A decimal is a number in the one form 0.digits × 10^exponent without leading or
// trailing zeros. The digits of zero are empty, and its exponent is zero.
type decimal struct {
	negative bool
	digits   string
	exponent int64
}

func decimalOf(number string) (d decimal) {
	number, d.negative = strings.CutPrefix(number, "-")
	mantissa, exponent, _ := strings.Cut(strings.ReplaceAll(number, "E", "e"), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	d.digits = strings.TrimLeft(whole+fraction, "0")
	if d.digits == "" {
		return decimal{negative: d.negative}
	}
	// An exponent too long for an int64 is cut off at its limits. The number was
	// within the range of a double, so such an exponent is far from any that
	// FormatFloat writes, and the comparison fails as it should.
	e, _ := strconv.ParseInt(exponent, 10, 64)
	const far = 1 << 40 // keeps the sum below in range; no mantissa is that long
	e = min(max(e, -far), far)
	d.exponent = e + int64(len(whole)) - int64(len(whole+fraction)-len(d.digits))
	d.digits = strings.TrimRight(d.digits, "0")
	return d
}
