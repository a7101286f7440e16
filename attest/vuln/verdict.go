package vuln

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

// A State says what a gate made of a finding.
type State string

// The states.
const (
	Open    State = "open"    // it fails the gate
	Excused State = "excused" // an exception covers it
	Below   State = "below"   // of a level or severity that does not fail
)

// A Finding is one vulnerability of one component.
type Finding struct {
	ID        string     `json:"id"`
	Aliases   []string   `json:"aliases,omitempty"`
	Component string     `json:"component"` // package URL
	Fixed     string     `json:"fixed,omitempty"`
	Level     Level      `json:"-"`
	Severity  Severity   `json:"-"`
	Evidence  string     `json:"evidence"` // level or severity, in words
	Summary   string     `json:"summary,omitempty"`
	State     State      `json:"state"`
	Exception *Exception `json:"exception,omitempty"` // also one that has expired

	module string // of Go, that the database was asked about
}

// A Verdict is what a [Gate] found.
type Verdict struct {
	Product    string    `json:"product"`
	DBModified time.Time `json:"dbModified"`
	Findings   []Finding `json:"findings"`           // open ones first
	Unused     []string  `json:"unused,omitempty"`   // exceptions that covered nothing: to be removed
	Unjudged   []string  `json:"unjudged,omitempty"` // components of which the scanner knows nothing
	VEXSHA256  string    `json:"vexSha256,omitempty"`
}

// Err returns what keeps the gate shut, one error for each open finding, or nil.
func (v *Verdict) Err() error {
	var faults []error
	for i := range v.Findings {
		if f := &v.Findings[i]; f.State == Open {
			faults = append(faults, errors.New("vuln: "+f.String()))
		}
	}
	return errors.Join(faults...)
}

// Count returns how many findings are in a state.
func (v *Verdict) Count(s State) int {
	n := 0
	for i := range v.Findings {
		if v.Findings[i].State == s {
			n++
		}
	}
	return n
}

// Pin returns the verdict as a manifest holds it. A verdict that is not good has none.
func (v *Verdict) Pin() (*manifest.Vuln, error) {
	if err := v.Err(); err != nil {
		return nil, err
	}
	return &manifest.Vuln{DBModified: v.DBModified.UTC().Truncate(time.Second), Gate: "passed", VEXSHA256: v.VEXSHA256}, nil
}

func (v *Verdict) sort() {
	rank := map[State]int{Open: 0, Excused: 1, Below: 2}
	slices.SortStableFunc(v.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank[a.State], rank[b.State]), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Component, b.Component))
	})
}

// String says what was found and what to do about it.
func (f *Finding) String() string {
	var b strings.Builder
	b.WriteString(f.ID)
	if len(f.Aliases) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(f.Aliases, ", "))
	}
	fmt.Fprintf(&b, " in %s, %s", f.Component, f.Evidence)
	if f.Summary != "" {
		fmt.Fprintf(&b, ": %s", f.Summary)
	}
	switch {
	case f.Exception != nil && f.State == Open:
		fmt.Fprintf(&b, "; its exception expired on %s: decide again", f.Exception.Expires.Format(time.DateOnly))
	case f.Exception != nil:
		fmt.Fprintf(&b, "; excused until %s: %s", f.Exception.Expires.Format(time.DateOnly), f.Exception.Reason)
	case f.Fixed != "":
		fmt.Fprintf(&b, "; fixed in %s: update it, or excuse it with OpenVEX", f.Fixed)
	default:
		b.WriteString("; no fix is known: do without it, or excuse it with OpenVEX")
	}
	return b.String()
}
