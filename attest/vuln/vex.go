package vuln

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// MaxVEX bounds a document with exceptions, in bytes.
const MaxVEX = 1 << 20

// Exceptions are what an OpenVEX document excuses. They do not change.
type Exceptions struct {
	list   []Exception
	digest string
}

// An Exception is one decision.
type Exception struct {
	Vulnerability string    `json:"vulnerability"`
	Status        string    `json:"status"`
	Reason        string    `json:"reason"`
	Expires       time.Time `json:"expires"`

	names      []string // of the vulnerability: id, name and aliases
	products   []string
	components []string
}

// document is OpenVEX 0.2 as far as it decides. Members that are not here are refused:
// one of them might limit what the statement says.
type document struct {
	Context     string `json:"@context"`
	ID          string `json:"@id"`
	Author      string `json:"author"`
	Role        string `json:"role,omitempty"`
	Timestamp   string `json:"timestamp"`
	LastUpdated string `json:"last_updated,omitempty"`
	Version     int    `json:"version"`
	Tooling     string `json:"tooling,omitempty"`

	Statements []statement `json:"statements"`
}

type statement struct {
	ID              string    `json:"@id,omitempty"`
	Version         int       `json:"version,omitempty"`
	Timestamp       string    `json:"timestamp,omitempty"`
	LastUpdated     string    `json:"last_updated,omitempty"`
	Supplier        string    `json:"supplier,omitempty"`
	Vulnerability   vulnName  `json:"vulnerability"`
	Products        []product `json:"products"`
	Status          string    `json:"status"`
	StatusNotes     string    `json:"status_notes,omitempty"`
	Justification   string    `json:"justification,omitempty"`
	Impact          string    `json:"impact_statement,omitempty"`
	Action          string    `json:"action_statement,omitempty"`
	ActionTimestamp string    `json:"action_statement_timestamp,omitempty"`
}

type vulnName struct {
	ID          string   `json:"@id,omitempty"`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Aliases     []string `json:"aliases,omitempty"`
}

type product struct {
	ID            string            `json:"@id"`
	Identifiers   map[string]string `json:"identifiers,omitempty"`
	Hashes        map[string]string `json:"hashes,omitempty"`
	Subcomponents []component       `json:"subcomponents,omitempty"`
}

type component struct {
	ID          string            `json:"@id"`
	Identifiers map[string]string `json:"identifiers,omitempty"`
	Hashes      map[string]string `json:"hashes,omitempty"`
}

// justifications are those of the specification.
var justifications = []string{
	"component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
	"vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist",
}

// DecodeVEX reads an OpenVEX 0.2 document strictly. Statements that are under
// investigation are no decisions and excuse nothing. Every other one must give its
// reason and, in its status notes, the day on which it expires.
func DecodeVEX(data []byte) (*Exceptions, error) {
	var d document
	if err := strictjson.Decode(data, MaxVEX, &d); err != nil {
		return nil, fmt.Errorf("vex: %w", err)
	}
	if !strings.HasPrefix(d.Context, "https://openvex.dev/ns") {
		return nil, fmt.Errorf("vex: @context is %q, not that of OpenVEX", d.Context)
	}
	hash := sha256.Sum256(data)
	x := &Exceptions{digest: hex.EncodeToString(hash[:])}
	var faults []error
	for i := range d.Statements {
		e, err := d.Statements[i].decide()
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("vex: statements[%d] (%s): %w", i, d.Statements[i].Vulnerability.Name, err))
		case e != nil:
			x.list = append(x.list, *e)
		}
	}
	return x, errors.Join(faults...)
}

// expiry finds the one "expires=YYYY-MM-DD" in status notes.
func expiry(notes string) (end time.Time, err error) {
	found := 0
	for _, word := range strings.FieldsFunc(notes, func(r rune) bool { return unicode.IsSpace(r) || r == ';' || r == ',' }) {
		if day, ok := strings.CutPrefix(word, "expires="); ok {
			found++
			if end, err = time.Parse(time.DateOnly, strings.TrimSuffix(day, ".")); err != nil {
				return end, fmt.Errorf("status_notes: %w", err)
			}
		}
	}
	if found != 1 {
		return end, errors.New(`status_notes must hold one "expires=YYYY-MM-DD": no exception is for ever`)
	}
	return end, nil
}

// decide returns the exception a statement makes, if it makes one.
func (s *statement) decide() (*Exception, error) {
	e := &Exception{Vulnerability: s.Vulnerability.Name, Status: s.Status}
	switch s.Status {
	case "under_investigation":
		return nil, nil //nolint:nilnil // no decision is no fault
	case "not_affected":
		if !slices.Contains(justifications, s.Justification) {
			return nil, fmt.Errorf("justification is %q, not one of %s", s.Justification, strings.Join(justifications, ", "))
		}
		e.Reason = s.Justification
	case "affected":
		if strings.TrimSpace(s.Action) == "" {
			return nil, errors.New("status affected needs an action_statement: what is done instead")
		}
		e.Reason = s.Action
	case "fixed":
		e.Reason = "fixed"
	default:
		return nil, fmt.Errorf("status is %q, not not_affected, affected, fixed or under_investigation", s.Status)
	}
	var err error
	if e.Expires, err = expiry(s.StatusNotes); err != nil {
		return nil, err
	}
	if s.Vulnerability.Name == "" {
		return nil, errors.New("names no vulnerability")
	}
	e.names = append([]string{s.Vulnerability.Name}, s.Vulnerability.Aliases...)
	if len(s.Products) == 0 {
		return nil, errors.New("names no product")
	}
	for _, p := range s.Products {
		if p.ID == "" || len(p.Identifiers)+len(p.Hashes) > 0 {
			return nil, errors.New("a product is named by its package URL in @id and by nothing else")
		}
		e.products = append(e.products, p.ID)
		for _, c := range p.Subcomponents {
			if c.ID == "" || len(c.Identifiers)+len(c.Hashes) > 0 {
				return nil, errors.New("a subcomponent is named by its package URL in @id and by nothing else")
			}
			e.components = append(e.components, c.ID)
		}
	}
	if len(e.components) > 0 && len(s.Products) > 1 {
		return nil, errors.New("subcomponents of several products: write a statement for each")
	}
	return e, nil
}

// find returns the exception for a finding in a product: one that has not expired, if
// there are several.
func (x *Exceptions) find(product string, f *Finding) *Exception {
	if x == nil {
		return nil
	}
	var best *Exception
	for i := range x.list {
		e := &x.list[i]
		if e.covers(product, f) && (best == nil || e.Expires.After(best.Expires)) {
			best = e
		}
	}
	return best
}

func (e *Exception) covers(product string, f *Finding) bool {
	named := slices.ContainsFunc(e.names, func(n string) bool { return n == f.ID || slices.Contains(f.Aliases, n) })
	return named && slices.ContainsFunc(e.products, func(p string) bool { return same(p, product) }) &&
		(len(e.components) == 0 || slices.ContainsFunc(e.components, func(c string) bool { return same(c, f.Component) }))
}

// same reports whether a name in an exception is that of a package: with its version or,
// for any version, without.
func same(name, packageURL string) bool {
	bare, _, _ := strings.Cut(packageURL, "@")
	return name == packageURL || name == bare
}
