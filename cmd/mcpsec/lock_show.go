package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/lint"
	"github.com/mcpsec/mcpsec-go/attest/lock"
)

// A lockChange is a change as the user sees it; its members are those of the JSON form.
type lockChange struct {
	Server   string   `json:"server"`
	Kind     string   `json:"kind"`
	Name     string   `json:"name"`
	Change   string   `json:"change"` // "new", "changed" or "gone"
	Approved string   `json:"approved,omitempty"`
	Shown    string   `json:"shown,omitempty"`
	Seen     string   `json:"seen,omitempty"` // when it was shown first
	Lines    []string `json:"lines"`
	Decision string   `json:"decision,omitempty"` // "approved" or "rejected"
}

// A lockReport is what review, add and check have to say.
type lockReport struct {
	Changes  []lockChange  `json:"changes"`
	Findings []lockFinding `json:"findings"`
}

type lockFinding struct {
	Server   string `json:"server"`
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Where    string `json:"where"`
	Message  string `json:"message"`
}

// newLockReport describes changes, and what speaks against the servers as they would be after
// them.
func newLockReport(file *lock.File, changes []lock.Change) lockReport {
	r := lockReport{Changes: []lockChange{}, Findings: []lockFinding{}}
	byServer := make(map[string][]lock.Change)
	var order []string
	for _, c := range changes {
		r.Changes = append(r.Changes, describeChange(c))
		if byServer[c.Server] == nil {
			order = append(order, c.Server)
		}
		byServer[c.Server] = append(byServer[c.Server], c)
	}
	for _, name := range order {
		for _, f := range lint.Definitions(after(file.Servers[name], byServer[name])) {
			r.Findings = append(r.Findings, lockFinding{name, f.Severity.String(), f.Code, f.Where, f.Message})
		}
	}
	return r
}

func describeChange(c lock.Change) lockChange {
	d := lockChange{Server: c.Server, Kind: c.Kind.Name, Name: c.Name, Change: "changed", Lines: c.Lines()}
	if c.Old != nil {
		d.Approved = c.Old.SHA256
	} else {
		d.Change = "new"
	}
	if c.New != nil {
		d.Shown, d.Seen = c.New.SHA256, c.New.At.Format(time.RFC3339)
	} else {
		d.Change, d.Lines = "gone", []string{}
	}
	return d
}

// after returns a server's definitions as they would be with the changes.
func after(server *lock.Server, changes []lock.Change) lint.Set {
	if server == nil {
		server = &lock.Server{}
	}
	type key struct{ kind, name string }
	texts := make(map[key]json.RawMessage)
	for kind, list := range map[lock.Kind]map[string]*lock.Definition{
		lock.Tool: server.Tools, lock.Prompt: server.Prompts,
		lock.Resource: server.Resources, lock.ResourceTemplate: server.ResourceTemplates,
	} {
		for name, d := range list {
			texts[key{kind.Name, name}] = d.Text
		}
	}
	if server.Identity != nil {
		texts[key{lock.Identity.Name, ""}] = server.Identity.Text
	}
	for _, c := range changes {
		if c.New == nil {
			delete(texts, key{c.Kind.Name, c.Name})
		} else {
			texts[key{c.Kind.Name, c.Name}] = c.New.Text
		}
	}
	var set lint.Set
	for k, text := range texts {
		switch k.kind {
		case lock.Tool.Name:
			set.Tools = append(set.Tools, text)
		case lock.Prompt.Name:
			set.Prompts = append(set.Prompts, text)
		case lock.Resource.Name:
			set.Resources = append(set.Resources, text)
		case lock.ResourceTemplate.Name:
			set.ResourceTemplates = append(set.ResourceTemplates, text)
		default:
			var said struct {
				Instructions string `json:"instructions"`
			}
			if json.Unmarshal(text, &said) == nil { // of another form, there are none to judge
				set.Instructions = said.Instructions
			}
		}
	}
	sortTexts(set.Tools, set.Prompts, set.Resources, set.ResourceTemplates)
	return set
}

// showChange writes one change for people.
func showChange(b *bytes.Buffer, c lockChange, what string) {
	fmt.Fprintf(b, "server %s: %s\n", visible(c.Server), what)
	for _, line := range c.Lines {
		fmt.Fprintf(b, "  %s\n", line)
	}
	if c.Shown != "" {
		fmt.Fprintf(b, "  seen %s, sha256:%s\n", c.Seen, c.Shown)
	}
	if c.Decision != "" {
		fmt.Fprintf(b, "  %s\n", c.Decision)
	}
}

// text writes the report for people.
func (r lockReport) text(changes []lock.Change) string {
	var b bytes.Buffer
	for i, c := range r.Changes {
		showChange(&b, c, changes[i].String())
	}
	b.WriteString(r.findings())
	return b.String()
}

func (r lockReport) findings() string {
	var b bytes.Buffer
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: server %s: %s: %s\n", f.Severity, visible(f.Server), visible(f.Where), f.Message)
	}
	return b.String()
}
