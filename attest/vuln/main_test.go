package vuln

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built.dir != "" {
			_ = os.RemoveAll(built.dir)
		}
		os.Exit(code)
	}))
}

// program builds a program that links CycloneDX, once.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "vuln"); built.err != nil { //nolint:usetesting // outlives the test that builds it
			return
		}
		built.path = filepath.Join(built.dir, "program.exe")
		out, err := exec.CommandContext(context.Background(), "go", "build", "-o", built.path, "../sbom/testdata/program").CombinedOutput()
		if built.err = err; err != nil {
			t.Log(string(out))
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

const cyclone = "github.com/CycloneDX/cyclonedx-go"

// today is when the tests play, and the database is of.
var today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return today }

// An entry is what the tests' database says of one module.
type entry struct {
	id, module string
	symbols    []string // of the package of the module's name; nil: of a package that nobody links;
	// empty: the advisory names no package, and means all of them
}

// old is in every database: one that knows nothing of the standard library is not whole.
var old = entry{id: "GO-2020-0001", module: "stdlib", symbols: []string{"F"}}

// database writes a vulnerability database and returns its address.
func database(t *testing.T, modified time.Time, entries ...entry) string {
	t.Helper()
	return partOf(t, modified, append(entries, old)...)
}

// partOf writes a database that has these entries and no other.
func partOf(t *testing.T, modified time.Time, entries ...entry) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type object = map[string]any
	modules, vulns := []object{}, []object{}
	of := make(map[string][]object)
	for _, e := range entries {
		imports := []object{{"path": e.module + "/elsewhere", "symbols": []string{"F"}}}
		switch {
		case e.symbols != nil && len(e.symbols) == 0:
			imports = nil
		case e.symbols != nil:
			imports = []object{{"path": e.module, "symbols": e.symbols}}
		}
		fixed := "99.0.0"
		if e.id == old.id {
			fixed = "1.0.1"
		}
		write("ID/"+e.id+".json", object{
			"schema_version": "1.3.1", "id": e.id, "modified": modified, "published": modified, "aliases": []string{"CVE-" + e.id},
			"summary": "A made-up fault", "details": "None.",
			"affected": []object{{
				"package":            object{"name": e.module, "ecosystem": "Go"},
				"ranges":             []object{{"type": "SEMVER", "events": []object{{"introduced": "0"}, {"fixed": fixed}}}},
				"ecosystem_specific": object{"imports": imports},
			}},
		})
		of[e.module] = append(of[e.module], object{"id": e.id, "modified": modified, "fixed": fixed})
		vulns = append(vulns, object{"id": e.id, "modified": modified, "aliases": []string{"CVE-" + e.id}})
	}
	for module, list := range of {
		modules = append(modules, object{"path": module, "vulns": list})
	}
	write("index/db.json", object{"modified": modified})
	write("index/modules.json", modules)
	write("index/vulns.json", vulns)
	return "file://" + filepath.ToSlash(dir)
}

var (
	linked   = entry{"GO-2026-0001", cyclone, []string{"NewBOM"}}
	unlinked = entry{"GO-2026-0002", cyclone, []string{"NoSuchFunction"}}
	nearby   = entry{"GO-2026-0003", cyclone, nil}
)
