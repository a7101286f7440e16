package main

import (
	"fmt"
	"strconv"
	"time"
)

// How numbers, times and sizes are written for people.

// briefly prints a duration with three digits.
func briefly(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return strconv.FormatFloat(d.Seconds(), 'g', 3, 64) + "s"
	case d >= time.Millisecond:
		return strconv.FormatFloat(float64(d.Microseconds())/1e3, 'g', 3, 64) + "ms"
	}
	return strconv.FormatInt(d.Microseconds(), 10) + "µs"
}

// size prints a number of bytes with one digit behind the point.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, prefixes := float64(n)/unit, "KMGTPE"
	for f >= unit && len(prefixes) > 1 {
		f, prefixes = f/unit, prefixes[1:]
	}
	return fmt.Sprintf("%.1f %ciB", f, prefixes[0])
}

// grouped prints a number with spaces between thousands.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// counted labels an axis: 1200 is 1.2k.
func counted(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size {
			return strconv.FormatFloat(v/unit.size, 'g', 3, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// amount prints millionths with two decimals, as far as there are any, or briefly.
func amount(micros int64) string {
	hundredths := uint64(max(0, micros)) / 1e4
	switch {
	case hundredths >= 1e8:
		return counted(float64(hundredths) / 100)
	case hundredths%100 == 0:
		return grouped(hundredths / 100)
	}
	return fmt.Sprintf("%s.%02d", grouped(hundredths/100), hundredths%100)
}

func share(part, whole uint64) string {
	if whole == 0 {
		return "0 %"
	}
	return strconv.FormatFloat(float64(part)/float64(whole)*100, 'f', 1, 64) + " %"
}

// percent is share for the width of a bar.
func percent(part, whole uint64) string {
	if whole == 0 {
		return "0"
	}
	return strconv.FormatFloat(float64(part)/float64(whole)*100, 'f', 2, 64)
}

func stepName(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return plural(int64(d/(24*time.Hour)), "day")
	case d >= time.Hour:
		return plural(int64(d/time.Hour), "hour")
	case d >= time.Minute:
		return plural(int64(d/time.Minute), "minute")
	}
	return plural(int64(d/time.Second), "second")
}

func plural[T int | int64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
