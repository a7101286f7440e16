package sbom

import (
	"errors"
	"fmt"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// Compare reports, in words and all at once, in what two documents differ: the Go
// version, the main module, and every module that is missing, extra or another.
func Compare(bill, program *Document) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("sbom: "+format, args...)) }
	if bill.GoVersion != program.GoVersion {
		fault("it is for Go %s, the program is built with Go %s", bill.GoVersion, program.GoVersion)
	}
	if bill.Main != program.Main {
		fault("it is for %s, the program is %s", describe(bill.Main), describe(program.Main))
	}
	listed := make(map[string]Module, len(bill.Modules))
	for _, m := range bill.Modules {
		listed[m.name()] = m
	}
	for _, m := range program.Modules {
		was, ok := listed[m.name()]
		delete(listed, m.name())
		switch {
		case !ok:
			fault("it lacks %s, which the program links", describe(m))
		case was != m:
			fault("it has %s, the program links %s", describe(was), describe(m))
		}
	}
	for _, m := range bill.Modules {
		if _, left := listed[m.name()]; left {
			fault("it has %s, which the program does not link", describe(m))
		}
	}
	return errors.Join(faults...)
}

func describe(m Module) string {
	if m.Sum == "" {
		return m.String()
	}
	return m.String() + " (" + m.Sum + ")"
}

// Check returns a rule for attest.Accept: the file is the bill of materials
// that the manifest pins, byte for byte, and the running program is made of exactly what
// it lists. A manifest that pins none is refused.
func Check(path string) func(*manifest.Manifest) error {
	return func(m *manifest.Manifest) error {
		if m.SBOM == nil {
			return errors.New("sbom: the manifest pins no bill of materials: make it with mcpsec manifest --sbom, or start without this check")
		}
		data, err := regular.ReadFile(path, MaxSize)
		if err != nil {
			return fmt.Errorf("sbom: %w", err)
		}
		if got := *Pin(data); got != *m.SBOM {
			return fmt.Errorf("sbom: %s is another one: the manifest pins %s %s sha256:%s, found %s %s sha256:%s", path,
				m.SBOM.Format, m.SBOM.SpecVersion, m.SBOM.SHA256, got.Format, got.SpecVersion, got.SHA256)
		}
		bill, err := Decode(data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		program, err := Running()
		if err != nil {
			return err
		}
		return Compare(bill, program)
	}
}
