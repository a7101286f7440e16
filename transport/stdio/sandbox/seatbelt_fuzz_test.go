package sandbox

import (
	"errors"
	"path"
	"slices"
	"strings"
	"testing"
)

// FuzzSeatbelt reads what was written with a reader of its own: whatever the paths, there is
// one default, it denies, no rule allows more than a rule of ours would, and every path that
// was asked for is there as it was, and none besides.
func FuzzSeatbelt(f *testing.F) {
	f.Add("/opt/x", "/srv/read", "/srv/write", "example.com", uint16(3128), true)
	f.Add("/opt/x", `/srv/a")(allow default)`, `/srv/b\`, "", uint16(0), false)
	f.Add("/opt/x", "/tmp/../etc/x", "/var/lib", "*.example.com:1", uint16(1), true)
	f.Add("/opt/x", "/srv/\n", "/srv/\xff", "x", uint16(1), false)
	f.Fuzz(func(t *testing.T, exec, read, write, host string, proxy uint16, system bool) {
		c := &Command{Path: exec, Profile: Profile{Exec: []string{exec}, Read: []string{read}, Write: []string{write}, System: system, Unix: system}}
		if host != "" {
			c.Profile.Egress = []string{host}
		}
		text, err := seatbelt(c, proxy, lexical)
		if err != nil {
			if text != "" {
				t.Fatalf("a profile and %v", err)
			}
			return
		}
		got := inspectSeatbelt(t, text).paths
		want := slices.Clone(seatbeltLibraries)
		want = append(want, seatbeltLoader...)
		want = append(want, "/dev/fd")
		if system {
			want = append(append(want, seatbeltPrograms...), seatbeltShared...)
		}
		for _, name := range []string{exec, read, write} {
			found, _, _ := lexical(path.Clean(name))
			want = append(want, found)
		}
		slices.Sort(want)
		if want = slices.Compact(want); !slices.Equal(got, want) {
			t.Fatalf("paths %q, want %q\n%s", got, want, text)
		}
	})
}

// rules are what a profile allows.
type rules struct {
	paths   []string // with all below, sorted, each once
	seen    []string // of which no more than that they are there is to be known
	sysctls []string
}

// operations are all that a profile of ours ever allows.
var operations = []string{
	"file-map-executable", "file-read*", "file-read-metadata", "file-write*", "file-write-data", "network-bind", "network-inbound",
	"network-outbound", "process-exec*", "process-fork", "process-info*", "signal", "sysctl-read",
}

// inspectSeatbelt reads a profile and fails the test if it is not of the form it must have.
func inspectSeatbelt(t *testing.T, text string) rules {
	t.Helper()
	forms, err := readForms(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var r rules
	defaults := 0
	for i, form := range forms {
		if len(form) == 0 || form[0].list != nil || form[0].quoted {
			t.Fatalf("form %d is no rule\n%s", i, text)
		}
		switch form[0].text {
		case "version":
			if i != 0 || len(form) != 2 || form[1].text != "1" {
				t.Fatalf("form %d: version\n%s", i, text)
			}
		case "deny":
			if len(form) == 2 && form[1].text == "default" {
				defaults++
			}
			if i > 2 || slices.ContainsFunc(form, func(n node) bool { return n.list != nil }) {
				t.Fatalf("form %d: operations are denied as a whole, before anything is allowed\n%s", i, text)
			}
		case "allow":
			r.allow(t, form[1:], text)
		default:
			t.Fatalf("form %d is %q\n%s", i, form[0].text, text)
		}
	}
	if defaults != 1 {
		t.Fatalf("%d defaults\n%s", defaults, text)
	}
	for _, list := range []*[]string{&r.paths, &r.seen} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return r
}

func (r *rules) allow(t *testing.T, form []node, text string) {
	t.Helper()
	filters := 0
	var names []string
	for _, n := range form {
		switch {
		case n.list == nil && !n.quoted && filters == 0 && slices.Contains(operations, n.text):
			names = append(names, n.text)
		case len(n.list) >= 2 && len(names) > 0:
			filters++
			r.filter(t, names, n.list, text)
		default:
			t.Fatalf("%+v is neither an operation nor a filter\n%s", n, text)
		}
	}
	if filters == 0 && !slices.Equal(names, []string{"process-fork"}) {
		t.Fatalf("%q is allowed whatever it is about\n%s", names, text)
	}
}

func (r *rules) filter(t *testing.T, names []string, f []node, text string) {
	t.Helper()
	kind, value := f[0].text, f[len(f)-1]
	switch {
	case f[0].quoted || f[0].list != nil || value.list != nil:
		t.Fatalf("%+v is no filter\n%s", f, text)
	case kind == "target" && value.text == "self":
	case kind == "sysctl-name" || kind == "sysctl-name-prefix":
		r.sysctls = append(r.sysctls, value.text)
	case (kind == "remote" || kind == "local") && len(f) == 3 && f[1].text == "tcp" && strings.HasPrefix(value.text, "localhost:"):
	case kind == "subpath" && value.quoted && strings.HasPrefix(value.text, "/") && value.text != "/":
		r.paths = append(r.paths, value.text)
	case kind == "literal" && value.quoted && slices.Equal(names, []string{"file-read-metadata"}):
		r.seen = append(r.seen, value.text)
	case kind == "literal" && value.quoted && (value.text == "/" && slices.Equal(names, []string{"file-read*"}) || strings.HasPrefix(value.text, "/dev/")):
	default:
		t.Fatalf("%+v of %q\n%s", f, names, text)
	}
}

// A node is a name, a string, or a list.
type node struct {
	text   string
	quoted bool
	list   []node
}

var errForm = errors.New("not a list of forms")

// readForms is a small reader of the language, with the escapes of its strings.
func readForms(text string) ([][]node, error) {
	stack := [][]node{{}}
	put := func(n node) { stack[len(stack)-1] = append(stack[len(stack)-1], n) }
	for text != "" {
		switch first := text[0]; {
		case strings.IndexByte(" \t\n", first) >= 0:
			text = text[1:]
		case first == ';':
			_, text, _ = strings.Cut(text, "\n")
		case first == '(':
			stack, text = append(stack, []node{}), text[1:]
		case first == ')':
			if len(stack) == 1 {
				return nil, errForm
			}
			done := stack[len(stack)-1]
			stack, text = stack[:len(stack)-1], text[1:]
			put(node{list: done})
		case first == '"':
			value, rest, err := readString(text[1:])
			if err != nil {
				return nil, err
			}
			put(node{text: value, quoted: true})
			text = rest
		default:
			end := strings.IndexAny(text, " \t\n();\"")
			if end < 0 {
				return nil, errForm
			}
			put(node{text: text[:end]})
			text = text[end:]
		}
	}
	var forms [][]node
	for _, n := range stack[0] {
		if n.list == nil {
			return nil, errForm
		}
		forms = append(forms, n.list)
	}
	if len(stack) != 1 {
		return nil, errForm
	}
	return forms, nil
}

// readString reads up to the quote that ends a string. Nothing but a quote and a backslash
// may be escaped: of all other escapes dialects of Scheme make different things.
func readString(text string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], nil
		case c < ' ':
			return "", "", errForm
		case c == '\\':
			if i++; i == len(text) || text[i] != '"' && text[i] != '\\' {
				return "", "", errForm
			}
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errForm
}
