package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// Nets are what a sandboxed process connects to: its own loopback, and the made-up
// addresses behind which egress by name stands.
var nets = []string{"127.0.0.0/8", "198.18.0.0/15"}

// own are the places that every sandbox gives its process.
var own = []string{"/proc", "/dev", "/tmp", "/etc/hosts", "/etc/resolv.conf", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf"}

// names are those that both programs take without quoting.
var names = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// A scope is what a policy is written for.
type scope struct {
	name, program       string
	opens, writes, runs []string // prefixes of paths
}

func newScope(name, program string, p sandbox.Profile) (s scope, err error) {
	if !names.MatchString(name) {
		return s, fmt.Errorf("telemetry: the name %q is not of 1 to 63 lower-case letters, digits and hyphens", name)
	}
	if !filepath.IsAbs(program) {
		return s, fmt.Errorf("telemetry: the program %q is no absolute path", program)
	}
	s = scope{name: name, program: program, runs: append([]string{program}, p.Exec...), writes: append(slices.Clone(p.Write), "/tmp", "/dev")}
	if p.System {
		s.runs = append(s.runs, sandbox.SystemPaths()...)
	}
	s.opens = slices.Concat(s.runs, p.Read, p.Write, own)
	for _, list := range [][]string{s.runs, s.opens, s.writes} {
		if slices.ContainsFunc(list, func(path string) bool { return strings.ContainsAny(path, "\"'\n\r(),") }) {
			return s, errors.New("telemetry: a path of the profile holds a quotation mark, a bracket, a comma or a line feed, which conditions of Falco cannot")
		}
	}
	return s, nil
}

// Tetragon writes a TracingPolicy (cilium.io/v1alpha1, Tetragon 1.2 and later) that reports
// what a program and its descendants do beyond the profile: files opened, programs
// executed, connections made past egress by name. program is its path on the host. It
// reports; the sandbox refuses.
func Tetragon(name, program string, p sandbox.Profile) ([]byte, error) {
	s, err := newScope(name, program, p)
	if err != nil {
		return nil, err
	}
	type m = map[string]any
	selector := func(index int, operator string, values []string) []m {
		return []m{{
			"matchBinaries": []m{{"operator": "In", "values": []string{s.program}, "followChildren": true}},
			"matchArgs":     []m{{"index": index, "operator": operator, "values": values}},
		}}
	}
	hook := func(call, kind string, selectors []m) m {
		return m{"call": call, "syscall": false, "args": []m{{"index": 0, "type": kind}}, "selectors": selectors}
	}
	return json.MarshalIndent(m{ // JSON is YAML
		"apiVersion": "cilium.io/v1alpha1", "kind": "TracingPolicy", "metadata": m{"name": s.name},
		"spec": m{"kprobes": []m{
			hook("security_file_open", "file", selector(0, "NotPrefix", s.opens)),
			hook("security_bprm_check", "linux_binprm", selector(0, "NotPrefix", s.runs)),
			hook("tcp_connect", "sock", selector(0, "NotDAddr", nets)),
		}},
	}, "", "  ")
}

// ancestors is how far from the program Falco follows its descendants.
const ancestors = 6

// Falco writes rules (Falco 0.36 and later) that report the same as [Tetragon]; descendants
// are followed for six generations.
func Falco(name, program string, p sandbox.Profile) ([]byte, error) {
	s, err := newScope(name, program, p)
	if err != nil {
		return nil, err
	}
	of := []string{fmt.Sprintf("proc.exepath = %q", s.program)}
	for i := 1; i <= ancestors; i++ {
		of = append(of, fmt.Sprintf("proc.aexepath[%d] = %q", i, s.program))
	}
	who := "(" + strings.Join(of, " or ") + ")"
	list := func(items []string) string { return `("` + strings.Join(items, `", "`) + `")` }
	rules := []map[string]any{
		rule(s.name+" opens a file beyond its profile", "evt.type in (open, openat, openat2, creat) and fd.num >= 0 and fd.typechar = 'f' and "+who+" and not fd.name pmatch "+list(s.opens), "file=%fd.name"),
		rule(s.name+" writes a file beyond its profile", "evt.type in (open, openat, openat2, creat) and evt.is_open_write = true and fd.num >= 0 and "+who+" and not fd.name pmatch "+list(s.writes), "file=%fd.name"),
		rule(s.name+" executes a program beyond its profile", "evt.type in (execve, execveat) and evt.dir = < and "+who+" and not proc.exepath pmatch "+list(s.runs), "program=%proc.exepath"),
		rule(s.name+" connects past egress by name", "evt.type = connect and fd.typechar in ('4', '6') and "+who+" and not fd.snet in "+list(nets), "connection=%fd.name"),
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // JSON is YAML
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(rules); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func rule(title, condition, what string) map[string]any {
	return map[string]any{
		"rule": title, "desc": "The process or one of its descendants did what the profile of its sandbox does not name.",
		"condition": condition, "output": title + " (" + what + " process=%proc.cmdline pid=%proc.pid)", "priority": "WARNING", "tags": []string{"mcp", "mcpsec"},
	}
}
