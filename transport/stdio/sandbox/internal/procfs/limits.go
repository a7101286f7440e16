package procfs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limits is the text of /proc/PID/limits: a table with names of several words.
type Limits string

// nameWidth is how wide the column of names is.
const nameWidth = 26

// Field returns what stands behind a limit: two numbers, and the unit if it has one.
func (l Limits) Field(name string) (string, error) {
	value, found := "", false
	for rest := string(l); rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if len(line) < nameWidth || strings.TrimSpace(line[:nameWidth]) != name {
			continue
		}
		if found {
			return "", fmt.Errorf("%s stands there twice", name)
		}
		value, found = strings.TrimSpace(line[nameWidth:]), true
	}
	if !found {
		return "", fmt.Errorf("no limit is called %s", name)
	}
	return value, nil
}

// Of returns a limit; [math.MaxUint64] is none.
func (l Limits) Of(name string) (soft, hard uint64, err error) {
	value, err := l.Field(name)
	if err != nil {
		return 0, 0, err
	}
	first, rest, _ := strings.Cut(value, " ")
	second, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	soft, err = bound(first)
	if err == nil {
		hard, err = bound(second)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%s is %q", name, value)
	}
	return soft, hard, nil
}

func bound(text string) (uint64, error) {
	if text == "unlimited" {
		return math.MaxUint64, nil
	}
	return strconv.ParseUint(text, 10, 64)
}
