package procfs

import (
	"strings"
	"testing"
)

// What a decoder takes is what stands there, whatever it stands in.
func FuzzDecode(f *testing.F) {
	f.Add(status, "Seccomp")
	f.Add("Limit\nMax open files            1024                 1048576              files     \n", "Max open files")
	f.Add(`71 65 254:0 /a\040- /srv/a\011b\012c\134 ro shared:1 - ext4 /dev/vda rw`, "x")
	f.Add("a:1\na:2\na", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		value, err := Status(text).Field(name)
		lines := 0
		for line := range strings.SplitSeq(text, "\n") {
			if label, behind, ok := strings.Cut(line, ":"); ok && label == name && !strings.Contains(name, ":") {
				if lines++; err == nil && value != strings.TrimSpace(behind) {
					t.Errorf("%q, not %q", value, behind)
				}
			}
		}
		if !strings.ContainsAny(name, ":\n") && (lines == 1) != (err == nil) {
			t.Errorf("%d lines, %v", lines, err)
		}
		if n, err := Status(text).Number(name, 16); err != nil && n != 0 {
			t.Errorf("%d and %v", n, err)
		}
		_, _ = Status(text).IDs(name)
		if soft, hard, err := Limits(text).Of(name); err == nil && strings.Count(text, name) == 0 {
			t.Errorf("%d, %d of nothing", soft, hard)
		}
		mounts := 0
		for m, err := range Mounts(text) {
			if mounts++; err == nil && !strings.HasPrefix(m.At, "/") || err != nil && m != (Mount{}) {
				t.Errorf("%+v, %v", m, err)
			}
		}
		if most := strings.Count(text, "\n") + 1; mounts > most {
			t.Errorf("%d mounts in %d lines", mounts, most)
		}
	})
}
