package sbom

import (
	"cmp"
	"debug/buildinfo"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
)

// The kind of document, as a manifest names it.
const (
	Format      = "CycloneDX"
	SpecVersion = "1.5"
)

// A Document is what a Go program is made of. It is compared with [Compare] and written
// with [Document.Encode].
type Document struct {
	Main      Module
	GoVersion string // "1.26.8", without "go": the version of the standard library
	Modules   []Module
}

// A Module is one that was linked. One that a replace directive put in the place of
// another is described as it is; Replaces says what it stands for.
type Module struct {
	Path    string
	Version string // empty for a folder; "(devel)" for a main module without one
	Sum     string // "h1:...": a hash of the source tree (golang.org/ref/mod), not of a file
	// Replaces is the "PATH@VERSION" in whose place it is, or empty.
	Replaces string
}

// File reads the build information of an executable.
func File(path string) (*Document, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("sbom: %w: only a program built by Go 1.18 or later, with its build information, has one", err)
	}
	return Build(info)
}

// Running reads the build information of the running program.
func Running() (*Document, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, errors.New("sbom: this program has no build information: build it with modules")
	}
	return Build(info)
}

// Build describes a program by its build information.
func Build(info *debug.BuildInfo) (*Document, error) {
	if info == nil || info.Main.Path == "" {
		return nil, errors.New("sbom: the build information names no main module")
	}
	version, ok := strings.CutPrefix(info.GoVersion, "go")
	if !ok {
		return nil, fmt.Errorf("sbom: the build information has Go version %q, which is no release: build with a released toolchain", info.GoVersion)
	}
	// "go1.26.8 X:experiment" names the experiments after the version.
	version, _, _ = strings.Cut(version, " ")
	d := &Document{Main: moduleOf(&info.Main), GoVersion: version}
	for _, dep := range info.Deps {
		d.Modules = append(d.Modules, moduleOf(dep))
	}
	d.sort()
	if err := d.check(); err != nil {
		return nil, err
	}
	return d, nil
}

func moduleOf(m *debug.Module) Module {
	if r := m.Replace; r != nil {
		return Module{Path: r.Path, Version: r.Version, Sum: r.Sum, Replaces: m.Path + "@" + m.Version}
	}
	return Module{Path: m.Path, Version: m.Version, Sum: m.Sum}
}

func (d *Document) sort() { slices.SortFunc(d.Modules, order) }

func order(a, b Module) int {
	return cmp.Or(cmp.Compare(a.name(), b.name()), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Version, b.Version))
}

// name is what the module is imported as, and so unique within a program.
func (m Module) name() string {
	if before, _, ok := strings.Cut(m.Replaces, "@"); ok {
		return before
	}
	return m.Path
}

// String returns "PATH@VERSION", and what it replaces.
func (m Module) String() string {
	s := m.Path
	if m.Version != "" {
		s += "@" + m.Version
	}
	if m.Replaces != "" {
		s += " in place of " + m.Replaces
	}
	return s
}

// check refuses what no build writes.
func (d *Document) check() error {
	if d.Main.Path == "" || d.GoVersion == "" {
		return errors.New("sbom: names no main module or no Go version")
	}
	for i, m := range d.Modules {
		if m.Path == "" {
			return fmt.Errorf("sbom: module %d has no path", i+1)
		}
		if i > 0 && d.Modules[i-1].name() == m.name() {
			return fmt.Errorf("sbom: module %q is there twice", m.name())
		}
	}
	return nil
}
