package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

// Properties of a component. A sum is no hash of a file, so it is none of CycloneDX's
// hashes.
const (
	propSum      = "mcpsec:go:sum"
	propReplaces = "mcpsec:go:replaces"
	propFolder   = "mcpsec:go:folder"
)

// std is the module path of the standard library in package URLs and vulnerability data.
const std = "std"

// Encode returns the document as CycloneDX 1.5 JSON, indented, with a final line feed.
// It holds no serial number and no time: one program has one bill of materials.
func (d *Document) Encode() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	main := component(d.Main, cdx.ComponentTypeApplication)
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &main}
	parts := make([]cdx.Component, 0, len(d.Modules)+1)
	parts = append(parts, component(Module{Path: std, Version: d.GoVersion}, cdx.ComponentTypeLibrary))
	for _, m := range d.Modules {
		parts = append(parts, component(m, cdx.ComponentTypeLibrary))
	}
	bom.Components = &parts
	var b bytes.Buffer
	enc := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := enc.EncodeVersion(bom, cdx.SpecVersion1_5); err != nil {
		return nil, fmt.Errorf("sbom: %w", err)
	}
	if b.Len() > MaxSize {
		return nil, fmt.Errorf("sbom: %d bytes, the limit is %d", b.Len(), MaxSize)
	}
	return b.Bytes(), nil
}

func component(m Module, kind cdx.ComponentType) cdx.Component {
	c := cdx.Component{Type: kind, Name: m.Path, Version: m.Version, BOMRef: ref(m)}
	var props []cdx.Property
	if m.isFolder() {
		props = append(props, cdx.Property{Name: propFolder, Value: "true"})
	} else {
		c.PackageURL = PackageURL(m.Path, m.Version)
	}
	if m.Replaces != "" {
		props = append(props, cdx.Property{Name: propReplaces, Value: m.Replaces})
	}
	if m.Sum != "" {
		props = append(props, cdx.Property{Name: propSum, Value: m.Sum})
	}
	if props != nil {
		c.Properties = &props
	}
	return c
}

// ref is unique within a document: no program links two modules of one name, and one
// module may stand in for two others.
func ref(m Module) string {
	r := m.Path + "@" + m.Version
	if m.Replaces != "" {
		r += " for " + m.Replaces
	}
	return r
}

// isFolder reports whether the module is a folder that a replace directive named.
func (m Module) isFolder() bool { return m.Replaces != "" && m.Version == "" }

// PackageURL returns the package URL (purl) of a Go module, in the case in which Go
// writes it.
func PackageURL(path, version string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	u := "pkg:golang/" + strings.Join(parts, "/")
	if version != "" {
		// PathEscape leaves "+" alone, which some readers take for a space.
		u += "@" + strings.ReplaceAll(url.PathEscape(version), "+", "%2B")
	}
	return u
}

// Pin returns what a manifest says of a bill of materials: the digest of its bytes.
func Pin(data []byte) *manifest.SBOM {
	hash := sha256.Sum256(data)
	return &manifest.SBOM{Format: Format, SpecVersion: SpecVersion, SHA256: hex.EncodeToString(hash[:])}
}
