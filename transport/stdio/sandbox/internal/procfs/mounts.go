package procfs

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// A Mount is a line of /proc/PID/mountinfo.
type Mount struct {
	Root    string // what of the file system is mounted
	At      string
	Options Options // of the mount
	Type    string
	Super   Options // of the file system
}

// Options is a list with commas.
type Options string

// Has reports whether an option is on the list.
func (o Options) Has(name string) bool {
	for option := range strings.SplitSeq(string(o), ",") {
		if option == name {
			return true
		}
	}
	return false
}

// Mounts reads the text of mountinfo, in the kernel's order: of two mounts at one place the
// later one is on top, or was moved below. A line that is none comes with an error.
func Mounts(text string) iter.Seq2[Mount, error] {
	return func(yield func(Mount, error) bool) {
		for rest := text; rest != ""; {
			var line string
			line, rest, _ = strings.Cut(rest, "\n")
			if !yield(mountOf(line)) {
				return
			}
		}
	}
}

// mountOf reads "ID PARENT DEVICE ROOT AT OPTIONS [TAG...] - TYPE SOURCE SUPER". The kernel
// escapes spaces, tabs and line ends in a field and no other blank: fields end at a space.
func mountOf(line string) (m Mount, err error) {
	before, after, whole := strings.Cut(line, " - ")
	var fields [6]string
	seen := 0
	for field := range strings.SplitSeq(before, " ") {
		if seen < len(fields) {
			fields[seen] = field
		}
		seen++
	}
	kind, after, named := strings.Cut(after, " ")
	_, super, complete := strings.Cut(after, " ")
	if seen < len(fields) || !whole || !named || !complete {
		return Mount{}, fmt.Errorf("a mount of %d fields", strings.Count(line, " ")+1)
	}
	if !strings.HasPrefix(fields[4], "/") {
		return Mount{}, fmt.Errorf("a mount at %q", fields[4])
	}
	return Mount{
		Root: unescape(fields[3]), At: unescape(fields[4]), Options: Options(fields[5]),
		Type: kind, Super: Options(super),
	}, nil
}

// unescape reads the kernel's spelling of a path: blanks, line ends and backslashes are
// numbers.
func unescape(name string) string {
	if !strings.Contains(name, `\`) {
		return name
	}
	var b strings.Builder
	for len(name) >= 4 {
		if n, err := strconv.ParseUint(name[1:4], 8, 8); name[0] == '\\' && err == nil {
			b.WriteByte(byte(n))
			name = name[4:]
			continue
		}
		b.WriteByte(name[0])
		name = name[1:]
	}
	return b.String() + name
}
