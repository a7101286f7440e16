package inspector

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/mcpsec/mcpsec-go/attest/vuln"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A report is what is read of a CycloneDX document; it may hold more.
type report struct {
	BOMFormat   string `json:"bomFormat"`
	SpecVersion string `json:"specVersion"`
	Components  []struct {
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		PURL       string     `json:"purl"`
		Properties []property `json:"properties"`
	} `json:"components"`
	Vulnerabilities []struct {
		ID          string `json:"id"`
		Description string `json:"description"`
		References  []struct {
			ID string `json:"id"`
		} `json:"references"`
		Ratings []struct {
			Severity string `json:"severity"`
		} `json:"ratings"`
		Affects []struct {
			Ref string `json:"ref"`
		} `json:"affects"`
		Properties []property `json:"properties"`
	} `json:"vulnerabilities"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// What Inspector adds to components and vulnerabilities.
const (
	propWarning = "amazon:inspector:sbom_scanner:warning"
	propFixed   = "amazon:inspector:sbom_scanner:fixed_version:"
)

func read(data []byte) (*report, error) {
	if err := mcpsec.CheckJSON(data); err != nil {
		return nil, err
	}
	r := &report{}
	return r, json.Unmarshal(data, r)
}

// findings reads an answer to what was sent. Each component must be in it again.
func (r *report) findings(sent *report) (found []vuln.Finding, unjudged []string, err error) {
	urls := make(map[string]string, len(r.Components))
	for i := range r.Components {
		c := &r.Components[i]
		url := c.PURL
		if url == "" {
			url = c.Name + "@" + c.Version
		}
		urls[c.Ref] = url
		for _, p := range c.Properties {
			if strings.HasPrefix(p.Name, propWarning) {
				unjudged = append(unjudged, url)
				break
			}
		}
	}
	for i := range sent.Components {
		if _, ok := urls[sent.Components[i].Ref]; !ok {
			return nil, nil, fmt.Errorf("the answer has lost the component %.200q", sent.Components[i].Ref)
		}
	}
	if len(unjudged) == len(r.Components) {
		return nil, nil, errors.New("not one component was judged: is it a bill of materials of something that Inspector knows?")
	}
	for i := range r.Vulnerabilities {
		v := &r.Vulnerabilities[i]
		if v.ID == "" || len(v.Affects) == 0 {
			return nil, nil, errors.New("the answer has a vulnerability without an id, or of nothing")
		}
		f := vuln.Finding{ID: v.ID, Summary: v.Description, Severity: vuln.Negligible}
		for _, alias := range v.References {
			if alias.ID != "" && alias.ID != v.ID {
				f.Aliases = append(f.Aliases, alias.ID)
			}
		}
		if len(v.Ratings) == 0 {
			f.Severity = vuln.Critical
		}
		for _, rating := range v.Ratings {
			f.Severity = max(f.Severity, severity(rating.Severity))
		}
		f.Evidence = "severity " + f.Severity.String()
		for _, a := range v.Affects {
			url, ok := urls[a.Ref]
			if !ok {
				return nil, nil, fmt.Errorf("the answer names the component %.200q, which it does not have", a.Ref)
			}
			f.Component, f.Fixed = url, ""
			for _, p := range v.Properties {
				if p.Name == propFixed+a.Ref {
					f.Fixed = p.Value
				}
			}
			found = append(found, f)
		}
	}
	return found, unjudged, nil
}

// severity reads a rating of CycloneDX. One that nobody knows is the worst.
func severity(text string) vuln.Severity {
	if text == "info" || text == "none" {
		return vuln.Negligible
	}
	s, err := vuln.ParseSeverity(text)
	if err != nil {
		return vuln.Critical
	}
	return s
}
