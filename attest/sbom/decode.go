package sbom

import (
	"bytes"
	"errors"
	"fmt"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// MaxSize bounds a bill of materials, in bytes.
const MaxSize = 4 << 20

// Decode reads a document that [Document.Encode] wrote. It reads nothing else: one that
// says more than Encode would is refused, since Compare could not answer for the rest.
func Decode(data []byte) (*Document, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("sbom: %d bytes, the limit is %d", len(data), MaxSize)
	}
	if err := mcpsec.CheckJSON(data); err != nil {
		return nil, fmt.Errorf("sbom: it is %w", err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(data), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		return nil, fmt.Errorf("sbom: %w", err)
	}
	if bom.Metadata == nil || bom.Metadata.Component == nil || bom.Components == nil {
		return nil, errors.New("sbom: no metadata.component or no components")
	}
	d := &Document{Main: moduleFrom(bom.Metadata.Component)}
	for i := range *bom.Components {
		m := moduleFrom(&(*bom.Components)[i])
		if m.Path == std && m.Replaces == "" {
			d.GoVersion = m.Version
			continue
		}
		d.Modules = append(d.Modules, m)
	}
	d.sort()
	again, err := d.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, data) {
		return nil, errors.New("sbom: it is not as mcpsec writes it, so that not all of it can be checked: make it with mcpsec sbom")
	}
	return d, nil
}

func moduleFrom(c *cdx.Component) Module {
	m := Module{Path: c.Name, Version: c.Version}
	if c.Properties == nil {
		return m
	}
	for _, p := range *c.Properties {
		switch p.Name {
		case propSum:
			m.Sum = p.Value
		case propReplaces:
			m.Replaces = p.Value
		}
	}
	return m
}
