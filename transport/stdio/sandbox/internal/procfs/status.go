package procfs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrMissing is what is wrong with a file that lacks the line that was asked for.
var ErrMissing = errors.New("lacks lines that a kernel with seccomp writes")

// A Status is the text of a file of lines "name: value", such as /proc/PID/status. A name
// of the process's own choice cannot make up lines: the kernel escapes their ends.
type Status string

// Field returns the value behind a name.
func (s Status) Field(name string) (string, error) {
	value, found := "", false
	for rest := string(s); rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		v, ok := strings.CutPrefix(line, name)
		if !ok || v == "" || v[0] != ':' {
			continue
		}
		if found {
			return "", fmt.Errorf("%s stands there twice", name)
		}
		value, found = strings.TrimSpace(v[1:]), true
	}
	if !found {
		return "", ErrMissing
	}
	return value, nil
}

// Number returns the value behind a name as a number; sets, such as those of capabilities,
// are of base 16.
func (s Status) Number(name string, base int) (uint64, error) {
	value, err := s.Field(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(value, base, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is %q", name, value)
	}
	return n, nil
}

// IDs returns the users or groups of a process, behind "Uid" or "Gid": the real, the
// effective, the saved one and that of the file system.
func (s Status) IDs(name string) (ids [4]uint32, err error) {
	value, err := s.Field(name)
	if err != nil {
		return ids, err
	}
	seen := 0
	for field := range strings.FieldsSeq(value) {
		id, err := strconv.ParseUint(field, 10, 32)
		if err != nil || seen == len(ids) {
			return ids, fmt.Errorf("%s is %q", name, value)
		}
		ids[seen] = uint32(id)
		seen++
	}
	if seen != len(ids) {
		return ids, fmt.Errorf("%s is %q", name, value)
	}
	return ids, nil
}
