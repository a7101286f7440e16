package manifest

import "time"

func (d *differ) executables(before, after []Executable) {
	if len(before) > 0 && len(after) == 0 {
		d.add(Removed, true, "executables", "none is pinned any more")
	}
	pairs(d, "executable", before, after, func(e Executable) string { return e.Platform }, func(what string, a, b Executable) {
		d.whenf(a.SHA256 != b.SHA256, false, what, "the program changed, from %d to %d bytes", a.Size, b.Size)
		switch {
		case a.GoBuild != nil && b.GoBuild == nil:
			d.add(Changed, true, what, "its build is no longer described")
		case b.GoBuild == nil:
		case a.GoBuild == nil:
			d.add(Changed, false, what, "its build is described")
		default:
			d.build(what, a.GoBuild, b.GoBuild)
		}
	})
}

func (d *differ) build(what string, a, b *GoBuild) {
	d.whenf(!a.Modified && b.Modified, true, what, "it is built from a changed tree")
	d.whenf(a.Modified && !b.Modified, false, what, "it is built from a clean tree")
	for _, m := range []struct{ name, before, after string }{
		{"main module", a.Main, b.Main}, {"module version", a.Version, b.Version}, {"module sum", a.Sum, b.Sum},
		{"Go version", a.GoVersion, b.GoVersion}, {"revision", a.Revision, b.Revision},
	} {
		d.whenf(m.before != m.after, m.after == "" || m.name == "main module", what, "%s from %s to %s", m.name, quote(m.before), quote(m.after))
	}
	d.whenf(a.SettingsSHA256 != b.SettingsSHA256, false, what, "the build settings changed")
}

func (d *differ) artifacts(before, after []Artifact) {
	pairs(d, "artifact", before, after, func(a Artifact) string { return a.Name }, func(what string, a, b Artifact) {
		d.whenf(a.Bind != b.Bind && b.Bind == Watch, true, what, "bind weakened from %s to watch", a.Bind)
		d.whenf(a.Bind != b.Bind && b.Bind != Watch, false, what, "bind from %s to %s", a.Bind, b.Bind)
		d.whenf(a.Role != b.Role, false, what, "role from %s to %s", a.Role, b.Role)
		d.whenf(a.Path != b.Path, false, what, "path from %s to %s", quote(a.Path), quote(b.Path))
		d.whenf(a.SHA256 != b.SHA256, false, what, "the content changed, from %d to %d bytes", a.Size, b.Size)
	})
}

// evidence compares the bill of materials and the verdict on vulnerabilities.
func (d *differ) evidence(before, after *Manifest) {
	digest := func(m *Manifest) string {
		if m.SBOM == nil {
			return ""
		}
		return m.SBOM.SHA256
	}
	d.optional("sbom", digest(before), digest(after))
	if before.SBOM != nil && after.SBOM != nil {
		d.whenf(before.SBOM.Format != after.SBOM.Format || before.SBOM.SpecVersion != after.SBOM.SpecVersion, false, "sbom",
			"from %s %s to %s %s", before.SBOM.Format, before.SBOM.SpecVersion, after.SBOM.Format, after.SBOM.SpecVersion)
	}
	switch a, b := before.Vuln, after.Vuln; {
	case a == nil && b == nil:
	case b == nil:
		d.add(Removed, true, "vuln", "the vulnerability gate is not recorded any more")
	case a == nil:
		d.add(Added, false, "vuln", "gate "+b.Gate)
	default:
		d.whenf(a.Gate != b.Gate, true, "vuln", "gate from %s to %s", a.Gate, b.Gate)
		d.whenf(b.DBModified.Before(a.DBModified), true, "vuln", "the database is older, of %s and not %s", b.DBModified.Format(time.RFC3339), a.DBModified.Format(time.RFC3339))
		d.whenf(a.VEXSHA256 != b.VEXSHA256, b.VEXSHA256 != "", "vuln", "%s", map[bool]string{true: "exceptions were added or changed", false: "there are no exceptions any more"}[b.VEXSHA256 != ""])
	}
}

// versionFell reports whether a version went down or away. What is not semantic has no
// order.
func versionFell(before, after string) bool {
	a, ok := parseSemver(before)
	b, also := parseSemver(after)
	return ok && also && b.compare(a) < 0 || before != "" && after == ""
}
