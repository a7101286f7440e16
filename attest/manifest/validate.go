package manifest

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// longest is the most that a manifest may live at all.
const longest = 2 * 366 * 24 * time.Hour

// maxFaults bounds how many faults an error names.
const maxFaults = 16

// faults collects what is wrong.
type faults []error

func (f *faults) addf(ok bool, format string, args ...any) {
	if !ok && len(*f) < maxFaults {
		*f = append(*f, fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...))
	}
}

func (f *faults) digest(s string, optional bool, name string) {
	f.addf(isDigest(s) || optional && s == "", "%s is not a SHA-256 digest of 64 lower-case hexadecimal digits", name)
}

func (f *faults) time(t time.Time, name string) {
	f.addf(t.Location() == time.UTC && t.Nanosecond() == 0 && t.Year() >= 2000 && t.Year() < 10000, "%s is not a time in UTC and whole seconds", name)
}

// sorted refuses a list that is missing, or whose keys do not rise strictly.
func sorted[T any](f *faults, name string, list []T, key func(T) string) {
	f.addf(list != nil, "%s is missing: write [] if there are none", name)
	for i := 1; i < len(list); i++ {
		f.addf(key(list[i-1]) < key(list[i]), "%s[%d] does not come after the one before it: sort them, each once", name, i)
	}
}

// Validate reports everything that is wrong with the manifest, whenever that is. It does
// not change it. All errors wrap [ErrFormat].
func (m *Manifest) Validate() error {
	if m == nil {
		return fmt.Errorf("%w: there is none", ErrFormat)
	}
	var f faults
	f.addf(isName(m.ServerName, maxName), "serverName has not 1 to %d visible characters", maxName)
	f.addf(isText(m.ServerVersion, maxName), "serverVersion has hidden characters or more than %d bytes", maxName)
	f.addf(m.Sequence >= 1 && m.Sequence <= maxNumber, "sequence is %d, not 1 to 2^53", m.Sequence)
	f.digest(m.Previous, true, "previous")
	m.checkTimes(&f)
	f.addf(m.Closed, "closed is not true: what a manifest does not name is not allowed")
	f.addf(!m.AllowSymlinks, "allowSymlinks is not false: links are not followed")
	f.addf(m.DefinitionScheme == DefinitionScheme, "definitionScheme is %s, not %s", quote(m.DefinitionScheme), DefinitionScheme)
	f.digest(m.ServerSHA256, false, "serverSha256")
	f.digest(m.InstructionsSHA256, false, "instructionsSha256")
	m.checkTools(&f)
	f.definitions(m.Prompts, "prompts", maxName)
	f.definitions(m.Resources, "resources", maxURI)
	f.definitions(m.ResourceTemplates, "resourceTemplates", maxURI)
	m.checkExecutables(&f)
	m.checkArtifacts(&f)
	f.digest(m.PolicySHA256, true, "policySha256")
	if s := m.SBOM; s != nil {
		f.addf(isName(s.Format, 64) && isName(s.SpecVersion, 64), "sbom.format or sbom.specVersion is missing or not visible")
		f.digest(s.SHA256, false, "sbom.sha256")
	}
	if v := m.Vuln; v != nil {
		f.time(v.DBModified, "vuln.dbModified")
		f.addf(isWord(v.Gate), "vuln.gate is not a word")
		f.digest(v.VEXSHA256, true, "vuln.vexSha256")
	}
	return errors.Join(f...)
}

func (m *Manifest) checkTimes(f *faults) {
	f.time(m.IssuedAt, "issuedAt")
	f.time(m.NotBefore, "notBefore")
	f.time(m.Expires, "expires")
	f.addf(!m.NotBefore.Before(m.IssuedAt), "notBefore is before issuedAt")
	f.addf(m.Expires.After(m.NotBefore), "expires is not after notBefore")
	f.addf(m.Expires.Sub(m.IssuedAt) <= longest, "expires is more than two years after issuedAt")
}

func (m *Manifest) checkTools(f *faults) {
	sorted(f, "tools", m.Tools, func(t Tool) string { return t.Name })
	artifacts := make(map[string]bool, len(m.Artifacts))
	for _, a := range m.Artifacts {
		artifacts[a.Name] = true
	}
	for i, t := range m.Tools {
		at := nth("tools", i)
		f.addf(IsToolName(t.Name), "%s.name is not 1 to %d ASCII letters, digits, underscores, hyphens and dots", at, maxToolName)
		f.addf(t.Version == "" || len(t.Version) <= maxName && isSemver(t.Version), "%s.version is not semantic, such as 1.2.0, and not empty", at)
		f.digest(t.SHA256, false, at+".sha256")
		sorted(f, at+".artifacts", t.Artifacts, func(name string) string { return name })
		for _, name := range t.Artifacts {
			f.addf(artifacts[name], "%s.artifacts names %s, which is not among artifacts", at, quote(name))
		}
	}
}

func (m *Manifest) checkExecutables(f *faults) {
	sorted(f, "executables", m.Executables, func(e Executable) string { return e.Platform })
	for i, e := range m.Executables {
		at := nth("executables", i)
		f.addf(isPlatform(e.Platform), "%s.platform is not OS/ARCH, such as linux/amd64", at)
		f.addf(e.Size > 0 && e.Size <= maxNumber, "%s.size is %d, not 1 to 2^53", at, e.Size)
		f.digest(e.SHA256, false, at+".sha256")
		if b := e.GoBuild; b != nil {
			for _, s := range []string{b.Main, b.Version, b.Sum, b.GoVersion, b.Revision} {
				f.addf(isText(s, maxName), "%s.goBuild has hidden characters or more than %d bytes in a member", at, maxName)
			}
			f.addf(b.Main != "" && b.GoVersion != "", "%s.goBuild.main or .goVersion is missing", at)
			f.digest(b.SettingsSHA256, false, at+".goBuild.settingsSha256")
		}
	}
}

func (m *Manifest) checkArtifacts(f *faults) {
	sorted(f, "artifacts", m.Artifacts, func(a Artifact) string { return a.Name })
	folded := make(map[string]int, len(m.Artifacts))
	for i, a := range m.Artifacts {
		at := nth("artifacts", i)
		f.addf(isName(a.Name, maxName), "%s.name has not 1 to %d visible characters", at, maxName)
		f.addf(isWord(a.Role), "%s.role is not a word of lower-case letters, digits and hyphens", at)
		f.addf(isPath(a.Path), "%s.path is not clean, relative and with slashes only: no .., no backslash, no colon", at)
		f.addf(a.Size >= 0 && a.Size <= maxNumber, "%s.size is %d, not 0 to 2^53", at, a.Size)
		f.digest(a.SHA256, false, at+".sha256")
		f.addf(isBind(a.Bind), "%s.bind is none of exec, snapshot and watch", at)
		if first, twice := folded[strings.ToLower(a.Path)]; twice {
			f.addf(false, "%s.path is that of artifacts[%d], on a file system that folds case", at, first)
		}
		folded[strings.ToLower(a.Path)] = i
	}
}

func (f *faults) definitions(defs []Definition, name string, limit int) {
	sorted(f, name, defs, func(d Definition) string { return d.Name })
	for i, d := range defs {
		at := nth(name, i)
		f.addf(isName(d.Name, limit), "%s.name has not 1 to %d visible characters", at, limit)
		f.digest(d.SHA256, false, at+".sha256")
	}
}
