package lock

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// A definition that is within every limit on the wire is deeper, longer and escaped in the
// file. One server must not make a file that nobody can read: it is that of all servers.
func TestServerCannotSpoilTheFile(t *testing.T) {
	t.Parallel()
	nested := func(levels int) string { return strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels) }
	for _, test := range []struct{ name, schema string }{
		{"deep", nested(60)},
		{"long when it is indented", `{"enum":[` + strings.Repeat("0,", 50_000) + `0]}`},
		{"long when it is escaped", `{"description":"` + strings.Repeat("\u200b", 60_000) + `"}`},
		{"deep and wide", `{"enum":[` + strings.Repeat(nested(50)+",", 600) + `0]}`},
	} {
		tool := fmt.Sprintf(`{"tools":[{"name":"evil","inputSchema":%s}]}`, test.schema)
		if _, _, err := Tool.read([]byte(tool)); err != nil {
			t.Fatalf("%s: the wire form is refused anyway: %v", test.name, err)
		}
		for _, firstUse := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, first use %v", test.name, firstUse), func(t *testing.T) {
				t.Parallel()
				u := newUpstream(t)
				var opts []Option
				if firstUse {
					opts = append(opts, FirstUse())
				} else {
					u.learn(Reviewed)
				}
				u.rewrite = func(method, _, result string) string {
					if method == "tools/list" {
						return tool
					}
					return result
				}
				session := u.pinned(opts...)
				_, err := session.ListTools(t.Context(), nil)
				if err == nil && !firstUse {
					t.Error("a definition that is not approved was listed")
				}
				if _, err := Load(u.lock); err != nil {
					t.Errorf("the lock file is spoilt for all servers: %v", err)
				}
				if _, err := Pending(u.lock); err != nil {
					t.Errorf("what waits for review cannot be read any more, of no server: %v", err)
				}
			})
		}
	}
}

// What a program approves must be readable, too.
func TestApproveKeepsTheFileReadable(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.learn(Reviewed)
	bad := Change{Server: "files", Kind: Tool, Name: "x", New: &Definition{SHA256: "no digest", Text: json.RawMessage(`{"name":"y"}`)}}
	if err := Approve(t.Context(), u.lock, Reviewed, bad); err == nil {
		t.Error("approved")
	}
	if _, err := Load(u.lock); err != nil {
		t.Error(err)
	}
}
