package vuln

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/mcpsec/mcpsec-go/attest/sbom"
)

// replaced asks about modules that stand in for others, which the engine reads as neither:
// it looks for the one and compares with the other. The advisories of both count, by
// module alone; that a fork has the fault no more, an exception says.
func (g *Gate) replaced(ctx context.Context, bill *sbom.Document) ([]Finding, error) {
	var found []Finding
	for _, m := range bill.Modules {
		path, version, ok := cutLast(m.Replaces, "@")
		if !ok || path == m.Path {
			continue
		}
		ask := [][2]string{{path, version}}
		if m.Version != "" { // no folder
			ask = append(ask, [2]string{m.Path, m.Version})
		}
		for _, of := range ask {
			if !semver.IsValid(of[1]) {
				of[1] = "v0.0.0" // of any version; a replacement needs none
			}
			more, _, err := g.module(ctx, of[0], of[1])
			if err != nil {
				return nil, err
			}
			for _, f := range more {
				f.Evidence = "has the module, as " + m.String()
				found = append(found, f)
			}
		}
	}
	return found, nil
}

// unversioned returns the modules of which no version is known, such as those of a
// workspace: advisories of later versions would not be found.
func unversioned(bill *sbom.Document) (urls []string) {
	for _, m := range bill.Modules {
		if m.Replaces == "" && !semver.IsValid(m.Version) {
			urls = append(urls, sbom.PackageURL(m.Path, m.Version))
		}
	}
	return urls
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

var release = regexp.MustCompile(`^\d+\.\d+(\.\d+)?((beta|rc)\d+)?$`)

// released reports whether the engine can compare a version of Go. It takes any other one
// for older than everything.
func released(version string) bool { return release.MatchString(version) }

// library is the name of the standard library in the database.
const library = "stdlib"

var errNotWhole = errors.New("vuln: the database knows nothing of the standard library, so it is not whole: get another copy")

// whole asks the database about the first Go, which has faults for ever.
func (g *Gate) whole(ctx context.Context) error {
	known, _, err := g.module(ctx, library, "v1.0.0")
	if err == nil && len(known) == 0 {
		err = errNotWhole
	}
	return err
}

// knows reports whether an advisory of a module was seen.
func (fs *findings) knows(module string) bool {
	for _, a := range fs.advisories {
		if _, ok := a.of(module); ok {
			return true
		}
	}
	return false
}

// of returns whether an advisory is about a module, and about which packages; of all if
// it names none.
func (a *advisory) of(module string) (packages int, ok bool) {
	for i := range a.Affected {
		if at := &a.Affected[i]; at.Module.Path == module {
			packages, ok = len(at.Specific.Imports), true
			if packages == 0 {
				return 0, true
			}
		}
	}
	return packages, ok
}

// strengthen counts a module as linked code if every package of it is vulnerable: without
// symbols the engine says only that the module is there.
func (fs *findings) strengthen(f *Finding) {
	a := fs.advisories[f.ID]
	if a == nil || f.Level != ModuleLevel {
		return
	}
	if packages, ok := a.of(f.module); ok && packages == 0 {
		f.Level, f.Evidence = Symbol, "has the module, all of which is vulnerable"
	}
}
