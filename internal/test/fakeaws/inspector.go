package fakeaws

import (
	"encoding/json"
	"maps"
)

// Inspector is the scan API of Inspector: ScanSbom.
type Inspector struct {
	// Vulnerable are package URLs, with the members of a CycloneDX vulnerability but for
	// what it affects.
	Vulnerable map[string]map[string]any
	// Unknown are package URLs of which it has no rules.
	Unknown map[string]bool
	Scans   int
}

// SigningName implements [Service].
func (*Inspector) SigningName() string { return "inspector-scan" }

// Target implements [Service].
func (*Inspector) Target() string { return "/scan/sbom" }

// Serve implements [Service].
func (i *Inspector) Serve(r *Request) (any, error) {
	var in struct {
		SBOM   map[string]any `json:"sbom"`
		Format string         `json:"outputFormat"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	components, ok := in.SBOM["components"].([]any)
	switch {
	case in.Format != "CYCLONE_DX_1_5":
		return nil, Errorf("ValidationException", "this fake writes CYCLONE_DX_1_5 only")
	case !ok || in.SBOM["bomFormat"] != "CycloneDX" || in.SBOM["specVersion"] != "1.5":
		return nil, Errorf("ValidationException", "not a CycloneDX 1.5 document")
	case len(components) > 2000:
		return nil, Errorf("ValidationException", "more than 2000 components")
	}
	i.Scans++
	vulnerabilities := []any{}
	for _, c := range components {
		component, _ := c.(map[string]any)
		url, _ := component["purl"].(string)
		if i.Unknown[url] {
			component["properties"] = []any{map[string]any{"name": "amazon:inspector:sbom_scanner:warning", "value": "Component skipped: no rules found."}}
		}
		if v, ok := i.Vulnerable[url]; ok {
			found := map[string]any{"affects": []any{map[string]any{"ref": component["bom-ref"]}}}
			maps.Copy(found, v)
			vulnerabilities = append(vulnerabilities, found)
		}
	}
	in.SBOM["vulnerabilities"] = vulnerabilities
	body, err := json.Marshal(map[string]any{"sbom": in.SBOM})
	return Raw{"application/json", body}, err
}
