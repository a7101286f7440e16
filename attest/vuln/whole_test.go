package vuln

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/attest/sbom"
)

// all names no package: every one of the module is vulnerable.
var all = entry{"GO-2026-0004", cyclone, []string{}}

// build builds a program of its own module, without any network.
func build(t *testing.T, dir string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program.exe")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", path}, flags...), ".")...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// A stripped program has no symbols; what it links is then not known, and all counts.
func TestAStrippedProgramIsJudgedByItsModules(t *testing.T) {
	t.Parallel()
	stripped := build(t, "../sbom/testdata/program", "-ldflags=-s -w")
	for name, test := range map[string]struct {
		path  string
		entry entry
	}{
		"all of a module":                   {program(t), all},
		"all of a module, without symbols":  {stripped, all},
		"a function, without symbols":       {stripped, linked},
		"a function that could be in there": {stripped, unlinked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := (&Gate{DB: database(t, today, test.entry), Now: clock}).Binary(t.Context(), test.path)
			if err != nil {
				t.Fatal(err)
			}
			if v.Count(Open) != 1 {
				t.Errorf("the gate is open: %+v", v)
			}
		})
	}
}

// The engine asks about the module that stands in for another, and about neither in the
// end: the advisories of both count.
func TestAModuleThatStandsInForAnotherIsJudgedAsBoth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":     "module example.org/main\n\ngo 1.26\n\nrequire example.org/dep v1.2.3\n\nreplace example.org/dep => ./dep\n",
		"main.go":    "package main\n\nimport \"example.org/dep\"\n\nfunc main() { dep.Run() }\n",
		"dep/go.mod": "module example.org/dep\n\ngo 1.26\n",
		"dep/dep.go": "package dep\n\n//go:noinline\nfunc Run() { println(1) }\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder := build(t, dir)
	g := &Gate{DB: database(t, today, entry{"GO-2026-0005", "example.org/dep", []string{"Run"}}, entry{"GO-2026-0006", "example.org/fork", nil}), Now: clock}
	v, err := g.Binary(t.Context(), folder)
	if err != nil || v.Count(Open) != 1 || v.Findings[0].ID != "GO-2026-0005" || !strings.Contains(v.Findings[0].String(), "pkg:golang/example.org/dep@v1.2.3") {
		t.Errorf("a folder: %+v, %v", v, err)
	}
	bill := &sbom.Document{Modules: []sbom.Module{
		{Path: "example.org/fork", Version: "v1.0.0", Replaces: "example.org/dep@v1.2.3"},
		{Path: cyclone, Version: "v0.12.0", Replaces: cyclone + "@v0.1.0"}, // the engine judges this one
	}}
	found, err := g.replaced(t.Context(), bill)
	if err != nil || len(found) != 2 || found[0].ID != "GO-2026-0005" || found[1].ID != "GO-2026-0006" {
		t.Errorf("a fork: %+v, %v", found, err)
	}
	bill.Modules = []sbom.Module{{Path: "./dep", Replaces: "example.org/dep@"}}
	if found, err := g.replaced(t.Context(), bill); err != nil || len(found) != 1 {
		t.Errorf("a folder in place of any version: %+v, %v", found, err)
	}
}

func TestADatabaseThatIsNotWholeOpensNothing(t *testing.T) {
	t.Parallel()
	lacking := database(t, today, linked)
	if err := os.Remove(filepath.FromSlash(strings.TrimPrefix(lacking, "file://")) + "/ID/" + linked.id + ".json"); err != nil {
		t.Fatal(err)
	}
	report := `{"artifacts":[{"name":"` + cyclone + `","version":"v0.12.0","type":"go-module"}],"descriptor":{"name":"syft"}}`
	for name, db := range map[string]string{"empty": partOf(t, today), "without the standard library": partOf(t, today, linked), "without an entry": lacking} {
		g := &Gate{DB: db, Now: clock}
		if v, err := g.Binary(t.Context(), program(t)); err == nil {
			t.Errorf("%s: %+v", name, v)
		}
		if v, err := g.Syft(t.Context(), []byte(report)); err == nil {
			t.Errorf("%s, of Syft: %+v", name, v)
		}
	}
}

func TestSyftNamesWhatItCannotJudge(t *testing.T) {
	t.Parallel()
	report := `{"artifacts":[{"name":"example.org/main","version":"(devel)","type":"go-module"},{"name":"example.org/x","version":"v1.0.0","type":"go-module"}],"descriptor":{"name":"syft"}}`
	v, err := (&Gate{DB: database(t, today), Now: clock}).Syft(t.Context(), []byte(report))
	if err != nil || len(v.Unjudged) != 1 || v.Unjudged[0] != "pkg:golang/example.org/main" {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestAGoThatIsNoReleaseIsNotJudged(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{"1.26.8": true, "1.26": true, "1.26rc1": true, "1.26.8-custom": false, "1.x": false, "": false} {
		if released(version) != want {
			t.Errorf("%q: %v", version, !want)
		}
	}
}
