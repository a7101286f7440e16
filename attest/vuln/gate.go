package vuln

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/sbom"
)

// DefaultMaxAge is how old a database may be unless a gate says otherwise.
const DefaultMaxAge = 7 * 24 * time.Hour

// A Gate judges what a server is made of. The zero value lacks a database, which only
// [Gate.Grype] can do without. It is safe for concurrent use, once made.
type Gate struct {
	// DB is the Go vulnerability database: a "file://" folder in the layout of
	// go.dev/doc/security/vuln/database, or an "https://" address.
	DB string
	// MaxAge bounds the age of the database; zero means [DefaultMaxAge].
	MaxAge time.Duration
	// Level is the weakest evidence that fails; zero means Symbol.
	Level Level
	// Severity is the lowest that fails, for reports that have one; zero means any.
	Severity Severity
	// Product is the package URL of what a report is about, which exceptions name. A
	// program names itself.
	Product string
	// Exceptions excuse findings; nil excuses none.
	Exceptions *Exceptions
	// Now is the time; nil means time.Now.
	Now func() time.Time
}

// A Level says how much of what is vulnerable a program has.
type Level int

// The levels, strongest evidence first.
const (
	Symbol      Level = iota + 1 // a vulnerable function
	Package                      // a package with a vulnerable function
	ModuleLevel                  // a module with such a package
)

var levels = map[Level]string{Symbol: "symbol", Package: "package", ModuleLevel: "module"}

// String returns the level's name.
func (l Level) String() string {
	if s, ok := levels[l]; ok {
		return s
	}
	return fmt.Sprintf("Level(%d)", int(l))
}

// ParseLevel reads "symbol", "package" or "module".
func ParseLevel(s string) (Level, error) {
	for l, name := range levels {
		if name == s {
			return l, nil
		}
	}
	return 0, fmt.Errorf("vuln: level %q is not symbol, package or module", s)
}

// A Severity is that of Grype's reports. What has another or none counts as critical.
type Severity int

// The severities.
const (
	Negligible Severity = iota + 1
	Low
	Medium
	High
	Critical
)

var severities = [...]string{Negligible: "negligible", Low: "low", Medium: "medium", High: "high", Critical: "critical"}

// String returns the severity's name, or nothing for the zero value.
func (s Severity) String() string {
	if s < 0 || int(s) >= len(severities) {
		return fmt.Sprintf("Severity(%d)", int(s))
	}
	return severities[s]
}

// ParseSeverity reads the name of a severity in any case.
func ParseSeverity(s string) (Severity, error) {
	for i, name := range severities {
		if i > 0 && strings.EqualFold(name, s) {
			return Severity(i), nil
		}
	}
	return 0, fmt.Errorf("vuln: severity %q is not negligible, low, medium, high or critical", s)
}

// Binary judges a Go program by what it links. A module in whose place another one is
// counts as both, by path and version alone.
func (g *Gate) Binary(ctx context.Context, path string) (*Verdict, error) {
	bill, err := sbom.File(path) // also keeps files away that only the engine would read
	if err != nil {
		return nil, err
	}
	if !released(bill.GoVersion) {
		return nil, fmt.Errorf("vuln: the program is built with Go %q, which is no release: its standard library cannot be judged", bill.GoVersion)
	}
	v := &Verdict{Product: sbom.PackageURL(bill.Main.Path, bill.Main.Version), Unjudged: unversioned(bill)}
	found := findings{}
	if v.DBModified, err = g.scan(ctx, found.binary, "-mode=binary", "--", path); err != nil {
		return nil, err
	}
	if !found.knows(library) {
		return nil, errNotWhole
	}
	more, err := g.replaced(ctx, bill)
	if err != nil {
		return nil, err
	}
	return g.judge(v, append(found.list(), more...))
}

// Judge judges what another scanner found in the gate's product, with a database of that
// day: it sorts findings into those that fail, those that are excused, and those below
// the gate's level or severity. A finding without a level is of the strongest.
func (g *Gate) Judge(modified time.Time, found []Finding) (*Verdict, error) {
	return g.judge(&Verdict{Product: g.Product, DBModified: modified}, found)
}

func (g *Gate) judge(v *Verdict, found []Finding) (*Verdict, error) {
	now := time.Now()
	if g.Now != nil {
		now = g.Now()
	}
	if err := g.fresh(v.DBModified, now); err != nil {
		return nil, err
	}
	level := g.Level
	if level == 0 {
		level = Symbol
	}
	used := make(map[*Exception]bool)
	for _, f := range found {
		f.State = Open
		if f.Level > level || f.Severity != 0 && f.Severity < g.Severity {
			f.State = Below
		} else if e := g.Exceptions.find(v.Product, &f); e != nil {
			used[e] = true
			if f.Exception = e; now.Before(e.Expires) {
				f.State = Excused
			}
		}
		v.Findings = append(v.Findings, f)
	}
	v.sort()
	if g.Exceptions != nil {
		v.VEXSHA256 = g.Exceptions.digest
		for i := range g.Exceptions.list {
			if e := &g.Exceptions.list[i]; !used[e] {
				v.Unused = append(v.Unused, e.Vulnerability)
			}
		}
	}
	return v, nil
}

func (g *Gate) fresh(modified, now time.Time) error {
	maxAge := g.MaxAge
	if maxAge == 0 {
		maxAge = DefaultMaxAge
	}
	switch age := now.Sub(modified); {
	case modified.IsZero():
		return errors.New("vuln: the database does not say of what day it is: get another copy")
	case age > maxAge:
		return fmt.Errorf("vuln: the database is of %s, %d days old, and may be %d: update it", modified.UTC().Format(time.DateOnly), days(age), days(maxAge))
	case age < -24*time.Hour:
		return fmt.Errorf("vuln: the database is of %s, which is in the future: check the clock", modified.UTC().Format(time.DateOnly))
	}
	return nil
}

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }
