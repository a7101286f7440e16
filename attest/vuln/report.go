package vuln

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// MaxReport bounds a report of Grype or Syft, in bytes.
const MaxReport = 64 << 20

// decodeReport reads another scanner's report. Members that we do not know may be there,
// since each version adds some; ambiguity may not.
func decodeReport(data []byte, v any) error {
	if len(data) > MaxReport {
		return fmt.Errorf("%d bytes, the limit is %d", len(data), MaxReport)
	}
	if err := mcpsec.CheckJSON(data); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// grypeReport is what the gate reads of "grype -o json", since version 0.60.
type grypeReport struct {
	Matches []grypeMatch `json:"matches"`
	// Ignored were left out by rules of Grype's own, which have no end and no reason.
	Ignored    []grypeMatch `json:"ignoredMatches"`
	Descriptor struct {
		Name string `json:"name"`
		DB   struct {
			Built  time.Time `json:"built"` // until 0.87
			Status struct {
				Built time.Time `json:"built"`
				Valid *bool     `json:"valid"` // since 0.88
				Error string    `json:"error"`
			} `json:"status"`
		} `json:"db"`
	} `json:"descriptor"`
}

type grypeMatch struct {
	Vulnerability struct {
		ID          string `json:"id"`
		Severity    string `json:"severity"`
		Description string `json:"description"`
		Fix         struct {
			Versions []string `json:"versions"`
		} `json:"fix"`
	} `json:"vulnerability"`
	Related []struct {
		ID string `json:"id"`
	} `json:"relatedVulnerabilities"`
	Artifact struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		PURL    string `json:"purl"`
	} `json:"artifact"`
}

// Grype judges a report that "grype -o json" wrote. What Grype was told to ignore counts
// like any other match: decisions are in the gate's exceptions.
func (g *Gate) Grype(data []byte) (*Verdict, error) {
	var r grypeReport
	if err := decodeReport(data, &r); err != nil {
		return nil, fmt.Errorf("vuln: the report: %w", err)
	}
	switch {
	case r.Descriptor.Name != "grype" || r.Matches == nil:
		return nil, errors.New("vuln: the report is not one of Grype: make it with grype -o json")
	case r.Descriptor.DB.Status.Error != "", r.Descriptor.DB.Status.Valid != nil && !*r.Descriptor.DB.Status.Valid:
		return nil, errors.New("vuln: the report says that Grype's database was faulty: run grype db update")
	}
	v := &Verdict{Product: g.Product, DBModified: r.Descriptor.DB.Built}
	if b := r.Descriptor.DB.Status.Built; !b.IsZero() {
		v.DBModified = b
	}
	var found []Finding
	for _, m := range slices.Concat(r.Matches, r.Ignored) {
		f, err := m.finding()
		if err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return g.judge(v, found)
}

func (m *grypeMatch) finding() (Finding, error) {
	f := Finding{ID: m.Vulnerability.ID, Component: m.Artifact.PURL, Level: Symbol, Summary: line(m.Vulnerability.Description)}
	if f.Component == "" {
		f.Component = m.Artifact.Name + "@" + m.Artifact.Version
	}
	if f.ID == "" || m.Artifact.Name == "" {
		return f, errors.New("vuln: the report has a match without vulnerability or artifact")
	}
	var err error
	if f.Severity, err = ParseSeverity(m.Vulnerability.Severity); err != nil {
		f.Severity, f.Evidence = Critical, "severity unknown"
	} else {
		f.Evidence = "severity " + f.Severity.String()
	}
	if len(m.Vulnerability.Fix.Versions) > 0 {
		f.Fixed = strings.Join(m.Vulnerability.Fix.Versions, " or ")
	}
	for _, r := range m.Related {
		if r.ID != f.ID {
			f.Aliases = append(f.Aliases, r.ID)
		}
	}
	return f, nil
}

// line is the first line of a text, cut off at 200 bytes.
func line(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "..."
	}
	return text
}

// syftReport is what the gate reads of "syft -o json".
type syftReport struct {
	Artifacts []struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Type    string `json:"type"`
	} `json:"artifacts"`
	Descriptor struct {
		Name string `json:"name"`
	} `json:"descriptor"`
}

// Syft judges the Go modules that "syft -o json" found, by module and version alone: any
// that has a vulnerability fails, whatever the gate's level, since the report has no
// symbols. A report with other packages is refused: the Go database knows nothing of
// them, so ask Grype.
func (g *Gate) Syft(ctx context.Context, data []byte) (*Verdict, error) {
	var r syftReport
	if err := decodeReport(data, &r); err != nil {
		return nil, fmt.Errorf("vuln: the report: %w", err)
	}
	if r.Descriptor.Name != "syft" || r.Artifacts == nil {
		return nil, errors.New("vuln: the report is not one of Syft: make it with syft -o json")
	}
	v := &Verdict{Product: g.Product}
	seen := make(map[[2]string]bool)
	var found []Finding
	for _, a := range r.Artifacts {
		if a.Type != "go-module" {
			return nil, fmt.Errorf("vuln: the report has the %s package %q, which the Go database cannot judge: give a report of Grype", a.Type, a.Name)
		}
		version := strings.TrimPrefix(strings.TrimPrefix(a.Version, "go"), "v")
		if version == "(devel)" { // a main module, of which no database knows, or one of a workspace
			v.Unjudged = append(v.Unjudged, goURL(a.Name, ""))
			continue
		}
		if key := [2]string{a.Name, version}; seen[key] {
			continue // in another place
		} else if seen[key] = true; a.Name == "" || version == "" || strings.HasPrefix(a.Name, "-") {
			return nil, fmt.Errorf("vuln: the report has a module %q without version", a.Name)
		}
		more, modified, err := g.module(ctx, a.Name, "v"+version)
		if err != nil {
			return nil, err
		}
		v.DBModified = modified
		found = append(found, more...)
	}
	if len(seen) == 0 {
		return nil, errors.New("vuln: the report has no module with a version, so that there is nothing to judge")
	}
	if err := g.whole(ctx); err != nil {
		return nil, err
	}
	return g.judge(v, found)
}

// module asks the database about one module.
func (g *Gate) module(ctx context.Context, path, version string) ([]Finding, time.Time, error) {
	var found []Finding
	modified, err := g.scan(ctx, func(m *message) {
		if a := m.OSV; a != nil {
			found = append(found, Finding{
				ID: a.ID, Aliases: a.Aliases, Component: goURL(path, version), Level: Symbol,
				Evidence: "has the module", Summary: a.Summary,
			})
		}
	}, "-mode=query", "--", path+"@"+version)
	return found, modified, err
}
