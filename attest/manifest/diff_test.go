package manifest

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/semver"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(m *Manifest)
		want   []string
	}{
		{"nothing but what must change", func(*Manifest) {}, nil},
		{"bind", func(m *Manifest) { m.Artifacts[0].Bind = Watch }, []string{"weaker: changed artifact model: bind weakened from snapshot to watch"}},
		{"bind, stronger", func(m *Manifest) { m.Artifacts[1].Bind = Exec }, []string{"changed artifact prompt: bind from watch to exec"}},
		{"neg 38: downgraded tool version", func(m *Manifest) { m.Tools[0].Version = "0.9.0" }, []string{"weaker: changed tool ask: the version went down, from \"1.0.0\" to \"0.9.0\""}},
		{"tool version removed", func(m *Manifest) { m.Tools[0].Version = "" }, []string{"weaker: changed tool ask: the version went down, from \"1.0.0\" to \"\""}},
		{"tool", func(m *Manifest) { m.Tools[0].Version = "1.0.1"; m.Tools[0].SHA256 = digest("f") }, []string{"changed tool ask: from version \"1.0.0\" to \"1.0.1\"", "changed tool ask: the definition changed"}},
		{"rug pull: definition under the same version", func(m *Manifest) { m.Tools[0].SHA256 = digest("f") }, []string{"weaker: changed tool ask: the definition changed under the same version"}},
		{"tool unbound", func(m *Manifest) { m.Tools[0].Artifacts = []string{"model"} }, []string{"weaker: changed tool ask: it is no longer bound to the artifact prompt"}},
		{"tool bound", func(m *Manifest) { m.Tools[1].Artifacts = []string{"model"} }, []string{"changed tool read_file: it is bound to the artifact model"}},
		{"tools renamed", func(m *Manifest) { m.Tools[0].Name = "Ask"; m.Tools[1].Name = "write_file" }, []string{"added tool Ask", "added tool write_file", "removed tool ask", "removed tool read_file"}},
		{"prompt, resource, template", func(m *Manifest) {
			m.Prompts[0].SHA256 = digest("f")
			m.Resources[0].Name = "a:b"
			m.ResourceTemplates = nil
		}, []string{"added resource a:b", "removed resource file:///readme", "removed resource template file:///{path}", "changed prompt summary: the definition changed"}},
		{"another server", func(m *Manifest) { m.ServerName = "mail" }, []string{"weaker: changed serverName: from \"files\" to \"mail\": this is another server"}},
		{"server version", func(m *Manifest) { m.ServerVersion = "1.10.0" }, []string{"changed serverVersion: from \"1.2.0\" to \"1.10.0\""}},
		{"server version down", func(m *Manifest) { m.ServerVersion = "1.2.0-rc.1" }, []string{"weaker: changed serverVersion: from \"1.2.0\" to \"1.2.0-rc.1\""}},
		{"sequence stays", func(m *Manifest) { m.Sequence = 7 }, []string{"weaker: changed sequence: from 7 to 7: it must rise"}},
		{"issued before", func(m *Manifest) { m.IssuedAt = m.IssuedAt.Add(-time.Hour) }, []string{"weaker: changed issuedAt: it goes back, from 2026-11-22T10:00:00Z to 2026-11-22T09:00:00Z"}},
		{"longer", func(m *Manifest) { m.Expires = m.Expires.Add(time.Hour) }, []string{"weaker: changed lifetime: longer, from 719h59m0s to 720h59m0s"}},
		{"shorter", func(m *Manifest) { m.Expires = m.Expires.Add(-time.Hour) }, []string{"changed lifetime: shorter, from 719h59m0s to 718h59m0s"}},
		{"what the server says of itself", func(m *Manifest) { m.ServerSHA256 = digest("e") }, []string{"changed server: its title, description, site or icons changed"}},
		{"instructions and policy", func(m *Manifest) { m.InstructionsSHA256 = digest("f"); m.PolicySHA256 = digest("f") }, []string{"changed instructions: the text changed", "changed policy: the content changed"}},
		{"policy and SBOM gone", func(m *Manifest) { m.PolicySHA256 = ""; m.SBOM = nil }, []string{"weaker: removed policy: it is no longer pinned", "weaker: removed sbom: it is no longer pinned"}},
		{"SBOM", func(m *Manifest) { m.SBOM = &SBOM{"CycloneDX", "1.6", digest("f")} }, []string{"changed sbom: from CycloneDX 1.5 to CycloneDX 1.6", "changed sbom: the content changed"}},
		{"no vulnerability gate", func(m *Manifest) { m.Vuln = nil }, []string{"weaker: removed vuln: the vulnerability gate is not recorded any more"}},
		{"neg 61: older database, other gate, other exceptions", func(m *Manifest) { m.Vuln = &Vuln{issued.Add(-48 * time.Hour), "skipped", digest("f")} }, []string{
			"weaker: changed vuln: exceptions were added or changed", "weaker: changed vuln: gate from passed to skipped", "weaker: changed vuln: the database is older, of 2026-11-20T10:00:00Z and not 2026-11-22T09:00:00Z",
		}},
		{"no exceptions", func(m *Manifest) { m.Vuln.VEXSHA256 = "" }, []string{"changed vuln: there are no exceptions any more"}},
		{"no executables", func(m *Manifest) { m.Executables = nil }, []string{"weaker: removed executables: none is pinned any more", "removed executable darwin/arm64", "removed executable linux/amd64"}},
		{"executable", func(m *Manifest) { m.Executables[1].SHA256 = digest("f"); m.Executables[1].Size = 21 }, []string{"changed executable linux/amd64: the program changed, from 20 to 21 bytes"}},
		{"build from a changed tree", func(m *Manifest) { b := m.Executables[1].GoBuild; b.Modified = true; b.Revision = "" }, []string{"weaker: changed executable linux/amd64: it is built from a changed tree", "weaker: changed executable linux/amd64: revision from \"0123abcd\" to \"\""}},
		{"build not described", func(m *Manifest) { m.Executables[1].GoBuild = nil }, []string{"weaker: changed executable linux/amd64: its build is no longer described"}},
		{"build", func(m *Manifest) {
			b := m.Executables[1].GoBuild
			b.GoVersion = "go1.27.0"
			b.SettingsSHA256 = digest("f")
		}, []string{"changed executable linux/amd64: Go version from \"go1.26.8\" to \"go1.27.0\"", "changed executable linux/amd64: the build settings changed"}},
		{"artifact", func(m *Manifest) { m.Artifacts[0] = Artifact{"model", "script", "m", 6, digest("f"), Snapshot} }, []string{
			"changed artifact model: path from \"models/m.bin\" to \"m\"", "changed artifact model: role from model to script", "changed artifact model: the content changed, from 5 to 6 bytes",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			next := full()
			next.Sequence, next.Previous = 8, digest("f")
			test.change(next)
			var got []string
			for _, c := range Diff(full(), next) {
				got = append(got, c.String())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q,\nwant %q", got, test.want)
			}
		})
	}
}

// FuzzSemver compares with the Go project's own, which wants a v and allows less to be
// written.
func FuzzSemver(f *testing.F) {
	for _, pair := range [][2]string{
		{"1.0.0", "1.0.0-rc.1"}, {"1.0.0-alpha.1", "1.0.0-alpha.beta"}, {"1.0.0-1", "1.0.0-01"}, {"1.2", "1"}, {"10.0.0", "9.0.0"}, {"1.0.0+a.b", "1.0.0+"},
		{"1.0.0-a", "1.0.0-a.0"}, {"1.0.0-a.10", "1.0.0-a.9"}, {"1.0.0--", "1.0.0-"}, {"01.0.0", "1.0.0-9-"}, {"99999999999999999999.0.0", "1.0.0"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, ok := parseSemver(a)
		y, also := parseSemver(b)
		for s, got := range map[string]bool{a: ok, b: also} {
			if want := semver.IsValid("v"+s) && semver.Canonical("v"+s)+semver.Build("v"+s) == "v"+s; got != want {
				t.Fatalf("%q is semantic: %v, want %v", s, got, want)
			}
		}
		if !ok || !also {
			return
		}
		sign := func(n int) int { return max(-1, min(1, n)) }
		if got, want := sign(x.compare(y)), semver.Compare("v"+a, "v"+b); got != want {
			t.Fatalf("%q and %q compare as %d, want %d", a, b, got, want)
		}
	})
}
