package sandbox

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateSeatbelt = flag.Bool("update-seatbelt", false, "write the golden files of seatbelt")

// A server of an ordinary kind, for the tests below.
func seatbeltServer() *Command {
	return &Command{Path: "/opt/notes/bin/notes-mcp", Profile: Profile{
		Read: []string{"/opt/notes/share"}, Exec: []string{"/opt/notes/bin"}, Write: []string{"/Users/ann/Notes"},
	}}
}

func TestSeatbeltGolden(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Command)
		proxy  uint16
	}{
		"ordinary": {change: func(*Command) {}},
		"program":  {change: func(c *Command) { c.Profile = Profile{Exec: []string{c.Path}} }},
		"egress": {change: func(c *Command) {
			c.Path, c.Profile.System, c.Profile.Egress = "/usr/bin/python3", true, []string{"api.example.com", "*.example.org:8443"}
		}, proxy: 52431},
		"sockets": {change: func(c *Command) { c.Profile.Listen, c.Profile.Unix = []uint16{8080, 80, 8080}, true }},
		"links": {change: func(c *Command) {
			c.Profile.Read, c.Profile.Write = []string{"/etc/notes.conf", "/var/db/notes/../other", "/tmpfiles"}, []string{"/tmp/notes"}
		}},
		"quoting": {change: func(c *Command) {
			c.Profile.Read = []string{`/Users/ann/a "quoted" folder`, `/Users/ann/back\slash`, "/Users/ann/Größe ; (ja)", "/Users/ann/#t"}
		}},
		"mounts": {change: func(c *Command) {
			c.Mounts = []Mount{{Source: "/srv/tree", Target: "/srv/tree"}, {Source: "/srv/run", Target: "/srv/run", Exec: true}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := seatbeltServer()
			test.change(c)
			got, err := seatbelt(c, test.proxy, lexical)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "seatbelt", name+".sb")
			if *updateSeatbelt {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the profile has changed; if that is meant: go test -run TestSeatbeltGolden -update-seatbelt\n%s", got)
			}
			again, err := seatbelt(c, test.proxy, lexical)
			if err != nil || again != got {
				t.Errorf("the second time it is another: %v", err)
			}
			inspectSeatbelt(t, got)
		})
	}
}

// What is written in a profile is a path, whatever it looks like.
func TestSeatbeltInjection(t *testing.T) {
	t.Parallel()
	for attack, name := range map[string]string{
		"end of string":             `/srv/x")(allow default)`,
		"end of rule":               `/srv/x"))(allow default)("`,
		"escaped quote":             `/srv/x\")(allow default)`,
		"escape of the last quote":  `/srv/x\`,
		"two escapes":               `/srv/x\\")(allow file-read* (subpath "/"))`,
		"escape by number":          `/srv/x\x22)(allow default)`,
		"escape by octal number":    `/srv/x\042)(allow default)`,
		"comment":                   `/srv/x"); (`,
		"regular expression":        `/srv/#"^/.*"`,
		"parameter":                 `/srv/(param "HOME")`,
		"import of another profile": `/srv/x"))(import "system.sb")(allow file-read* (subpath "/srv`,
		"quote of another alphabet": "/srv/x\u201d)(allow default)",
	} {
		t.Run(attack, func(t *testing.T) {
			t.Parallel()
			for right, p := range map[string]Profile{
				"read": {Read: []string{name}}, "write": {Write: []string{name}}, "exec": {Exec: []string{name}},
			} {
				p.Exec = append(p.Exec, "/opt/notes/bin")
				text, err := seatbelt(&Command{Path: "/opt/notes/bin/notes-mcp", Profile: p}, 0, lexical)
				if err != nil {
					t.Fatal(right, err)
				}
				rules := inspectSeatbelt(t, text)
				if !slices.Contains(rules.paths, name) {
					t.Errorf("%s: the path reads back as another:\n%s", right, text)
				}
				if slices.Contains(rules.paths, "/") || strings.Count(text, "(import") != strings.Count(text, `(import \"`) {
					t.Errorf("%s:\n%s", right, text)
				}
			}
		})
	}
}

func TestSeatbeltRefuses(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("a", 1024)
	for fault, test := range map[string]struct {
		change func(*Command)
		proxy  uint16
		want   string
	}{
		"a line of its own in a path":   {change: read("/srv/x\n(allow default)"), want: "control characters"},
		"a return in a path":            {change: read("/srv/x\r"), want: "control characters"},
		"a zero in a path":              {change: read("/srv/x\x00"), want: "control characters"},
		"an escape in a path":           {change: read("/srv/\x1b[2J"), want: "control characters"},
		"a control of eight bits":       {change: read("/srv/\u0085"), want: "control characters"},
		"a path that is no UTF-8":       {change: read("/srv/\xff"), want: "not UTF-8"},
		"a path that is too long":       {change: read(long), want: "longer than"},
		"a relative path":               {change: read("srv"), want: "not an absolute path"},
		"an empty path":                 {change: read(""), want: "not an absolute path"},
		"the whole file system":         {change: read("/"), want: "the whole file system"},
		"the whole, by another name":    {change: read("/srv/.."), want: "the whole file system"},
		"devices":                       {change: write("/dev"), want: "/dev inside"},
		"written and executed":          {change: write("/opt/notes/bin"), want: "must not be executed"},
		"written above what runs":       {change: func(c *Command) { c.Profile.Read, c.Profile.Write = nil, []string{"/opt/notes"} }, want: "must not be executed"},
		"written below what runs":       {change: write("/opt/notes/bin/cache"), want: "must not be executed"},
		"written above libraries":       {change: write("/usr"), want: "must not be executed"},
		"written below libraries":       {change: write("/System/Library/Fonts"), want: "must not be executed"},
		"written above the loader":      {change: write("/private/var/db"), want: "must not be executed"},
		"the same, by a link":           {change: write("/var/db"), want: "must not be executed"},
		"protected within what moves":   {change: read("/Users/ann/Notes/archive"), want: "nothing on macOS enforces that"},
		"hosts and no proxy":            {change: func(c *Command) { c.Profile.Egress = []string{"example.com"} }, want: "go together"},
		"a proxy and no hosts":          {change: func(*Command) {}, proxy: 3128, want: "go together"},
		"a host that is none":           {change: func(c *Command) { c.Profile.Egress = []string{`x")(allow default)`} }, proxy: 1, want: "profile"},
		"a program as an open file":     {change: func(c *Command) { c.Program = os.Stdin }, want: "no open file"},
		"a program that may not run":    {change: func(c *Command) { c.Path = "/usr/bin/python3" }, want: "not below one of the profile's Exec paths"},
		"a program that is only read":   {change: func(c *Command) { c.Path = "/opt/notes/share/x" }, want: "not below one of the profile's Exec paths"},
		"a neighbour of what runs":      {change: func(c *Command) { c.Path = "/opt/notes/binary" }, want: "not below one of the profile's Exec paths"},
		"no program":                    {change: func(c *Command) { c.Path = "" }, want: "no absolute path"},
		"a mount at another place":      {change: func(c *Command) { c.Mounts = []Mount{{Source: "/a", Target: "/b"}} }, want: "at another place"},
		"limits that make no sense":     {change: func(c *Command) { c.Profile.Limits.Memory = -1 }, want: "limits"},
		"more paths than anybody reads": {change: func(c *Command) { c.Profile.Read = make([]string, 5000); fill(c.Profile.Read) }, want: "at most"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			c := seatbeltServer()
			test.change(c)
			text, err := seatbelt(c, test.proxy, lexical)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q\n%s", err, test.want, text)
			}
			if text != "" {
				t.Errorf("a profile and an error:\n%s", text)
			}
		})
	}
}

func read(name string) func(*Command) {
	return func(c *Command) { c.Profile.Read = append(c.Profile.Read, name) }
}

func write(name string) func(*Command) {
	return func(c *Command) { c.Profile.Write = append(c.Profile.Write, name) }
}

func fill(names []string) {
	for i := range names {
		names[i] = fmt.Sprint("/srv/", i)
	}
}

// A folder that is written decides, by a link in it, what else the profile means; and where
// links lead is what counts, not what they are called.
func TestSeatbeltFollowsLinks(t *testing.T) {
	t.Parallel()
	follow := func(name string) (string, []link, error) {
		switch {
		case name == "/srv/gone":
			return "", nil, os.ErrNotExist
		case within(name, "/Users/ann/Notes/link"):
			return "/etc/secret", []link{{at: "/Users/ann/Notes/link", to: "/etc/secret"}}, nil
		case within(name, "/opt/current"):
			return "/opt/1.2" + strings.TrimPrefix(name, "/opt/current"), []link{{at: "/opt/current", to: "1.2"}}, nil
		case name == "/srv/odd":
			return "/srv/odd\n", nil, nil
		}
		return name, nil, nil
	}
	c := seatbeltServer()
	read("/Users/ann/Notes/link")(c)
	if _, err := seatbelt(c, 0, follow); err == nil || !strings.Contains(err.Error(), "name where it leads") {
		t.Errorf("a link in a folder that is written: %v", err)
	}
	c = seatbeltServer()
	read("/srv/gone")(c)
	if _, err := seatbelt(c, 0, follow); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a path that is not there: %v", err)
	}
	c = seatbeltServer()
	read("/srv/odd")(c)
	if text, err := seatbelt(c, 0, follow); err == nil || text != "" {
		t.Errorf("a link to a path that cannot be written down: %v\n%s", err, text)
	}
	text, err := seatbelt(&Command{Path: "/opt/current/bin/x", Profile: Profile{Exec: []string{"/opt/current/bin"}}}, 0, follow)
	if err != nil {
		t.Fatal(err)
	}
	rules := inspectSeatbelt(t, text)
	if !slices.Contains(rules.paths, "/opt/1.2/bin") || slices.Contains(rules.paths, "/opt/current/bin") || !slices.Contains(rules.seen, "/opt/current") {
		t.Errorf("a link is to be followed, and to be seen:\n%s", text)
	}
}

// The profile of one who asks for nothing has no rule with nothing to match, which would
// match everything.
func TestSeatbeltRuleWithoutMatchers(t *testing.T) {
	t.Parallel()
	s := &seatbeltText{}
	s.rule("file-read*")
	if s.String() != "" {
		t.Errorf("%q", s.String())
	}
}

// No rule of ours tells what other processes were started with.
func TestSeatbeltNamesNoOtherProcesses(t *testing.T) {
	t.Parallel()
	text, err := seatbelt(seatbeltServer(), 0, lexical)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range inspectSeatbelt(t, text).sysctls {
		for _, secret := range []string{"kern.proc", "kern.procargs", "kern.procargs2", "kern.proc_all", "security.", "net."} {
			if strings.HasPrefix(secret, r) || strings.HasPrefix(r, secret) {
				t.Errorf("%s tells of %s", r, secret)
			}
		}
	}
}
