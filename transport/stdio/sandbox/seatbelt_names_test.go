package sandbox

import (
	"testing"
)

// macOS has two names for every folder of its data, and most of its disks know no case.
func TestSeatbeltOneFolderUnderTwoNames(t *testing.T) {
	t.Parallel()
	for attack, p := range map[string]Profile{
		"written and executed, by the volume":             {Exec: []string{"/Users/ann/work/bin"}, Write: []string{"/System/Volumes/Data/Users/ann/work"}},
		"executed by the volume, and written":             {Exec: []string{"/Users/ann/work/bin", "/System/Volumes/Data/Users/ann/notes"}, Write: []string{"/Users/ann/notes"}},
		"written and executed, in another case":           {Exec: []string{"/Users/ann/work/bin"}, Write: []string{"/Users/Ann/Work"}},
		"written and executed, composed and not":          {Exec: []string{"/Users/ann/work/bin", "/Users/ann/gro\u0308ße/bin"}, Write: []string{"/Users/ann/gr\u00f6ße"}},
		"protected within what moves, in another case":    {Exec: []string{"/Users/ann/work/bin"}, Write: []string{"/Users/ann/Notes"}, Read: []string{"/Users/ann/notes/archive"}},
		"the whole file system, by its volume":            {Exec: []string{"/Users/ann/work/bin"}, Read: []string{"/System/Volumes/Data"}},
		"the whole file system, by what holds the volume": {Exec: []string{"/Users/ann/work/bin"}, Read: []string{"/System"}},
		"libraries written, in another case":              {Exec: []string{"/Users/ann/work/bin"}, Write: []string{"/USR/lib"}},
		"devices, in another case":                        {Exec: []string{"/Users/ann/work/bin"}, Write: []string{"/DEV"}},
	} {
		if text, err := seatbelt(&Command{Path: "/Users/ann/work/bin/server", Profile: p}, 0, lexical); err == nil {
			t.Errorf("%s: accepted\n%s", attack, text)
		}
	}
}
