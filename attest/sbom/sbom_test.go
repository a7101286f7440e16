package sbom

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

func info(change func(*debug.BuildInfo)) *debug.BuildInfo {
	i := &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Main:      debug.Module{Path: "example.org/notes", Version: "v1.2.0"},
		Deps: []*debug.Module{
			{Path: "golang.org/x/sys", Version: "v0.49.0", Sum: "h1:sys="},
			{Path: "example.org/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/fork", Version: "v1.0.1", Sum: "h1:fork="}},
			{Path: "example.org/a", Version: "v2.0.0+incompatible", Sum: "h1:a="},
			{Path: "example.org/c", Version: "v1.0.0", Replace: &debug.Module{Path: "../c"}},
		},
	}
	if change != nil {
		change(i)
	}
	return i
}

func build(t *testing.T, i *debug.BuildInfo) *Document {
	t.Helper()
	d, err := Build(i)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func encode(t *testing.T, d *Document) []byte {
	t.Helper()
	data, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheSameProgramGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	one := encode(t, build(t, info(nil)))
	two := encode(t, build(t, info(func(i *debug.BuildInfo) { i.Deps[0], i.Deps[3] = i.Deps[3], i.Deps[0] })))
	if !bytes.Equal(one, two) {
		t.Errorf("order of modules counts:\n%s\n%s", one, two)
	}
	for _, word := range []string{"serialNumber", "timestamp", `"hashes"`} {
		if bytes.Contains(one, []byte(word)) {
			t.Errorf("has %s", word)
		}
	}
	again, err := Decode(one)
	if err != nil {
		t.Fatal(err)
	}
	if err := Compare(again, build(t, info(nil))); err != nil {
		t.Error(err)
	}
}

// TestTheRunningProgramIsWhatItsBillSays builds a program, because a test binary does not
// know its modules.
func TestTheRunningProgramIsWhatItsBillSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	exe, bill := filepath.Join(dir, "program.exe"), filepath.Join(dir, "program.cdx.json")
	run := func(name string, args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		return string(out), err
	}
	for _, command := range [][]string{{"go", "build", "-o", exe, "./testdata/program"}, {exe, "-write", bill}, {exe, bill}} {
		if out, err := run(command[0], command[1:]...); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	data, err := os.ReadFile(bill)
	if err != nil {
		t.Fatal(err)
	}
	file, err := File(exe)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encode(t, file), data) {
		t.Error("the file and the program that runs from it have two bills")
	}
	if len(file.Modules) == 0 {
		t.Fatal("the program links no modules")
	}
	file.Modules = file.Modules[1:]
	if err := os.WriteFile(bill, encode(t, file), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(exe, bill); err == nil || !strings.Contains(out, "it lacks ") {
		t.Errorf("neg 61: a bill that lacks one module: %v\n%s", err, out)
	}
}

func TestAnotherProgramIsNamed(t *testing.T) {
	t.Parallel()
	bill := build(t, info(nil))
	for name, test := range map[string]struct {
		change func(*debug.BuildInfo)
		want   string
	}{
		"neg 61: another program":          {func(i *debug.BuildInfo) { i.Main.Path = "example.org/evil" }, "the program is example.org/evil@v1.2.0"},
		"neg 61: a module that is missing": {func(i *debug.BuildInfo) { i.Deps = i.Deps[1:] }, "golang.org/x/sys@v0.49.0 (h1:sys=), which the program does not link"},
		"neg 61: the bill lacks one module": {func(i *debug.BuildInfo) {
			i.Deps = append(i.Deps, &debug.Module{Path: "example.org/z", Version: "v0.1.0", Sum: "h1:z="})
		}, "lacks example.org/z@v0.1.0"},
		"another version":               {func(i *debug.BuildInfo) { i.Deps[0].Version = "v0.48.0" }, "the program links golang.org/x/sys@v0.48.0"},
		"the same version, other code":  {func(i *debug.BuildInfo) { i.Deps[0].Sum = "h1:other=" }, "(h1:other=)"},
		"a replacement taken away":      {func(i *debug.BuildInfo) { i.Deps[1].Replace = nil; i.Deps[1].Sum = "h1:b=" }, "example.org/fork@v1.0.1 in place of example.org/b@v1.0.0"},
		"a folder in place of a module": {func(i *debug.BuildInfo) { i.Deps[0].Replace = &debug.Module{Path: "../sys"} }, "../sys in place of golang.org/x/sys@v0.49.0"},
		"another toolchain":             {func(i *debug.BuildInfo) { i.GoVersion = "go1.26.7" }, "built with Go 1.26.7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Compare(bill, build(t, info(test.change)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestOnlyWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	good := string(encode(t, build(t, info(nil))))
	for name, bad := range map[string]string{
		"empty":                         "",
		"not JSON":                      "bom",
		"trailing bytes":                good + "x",
		"a duplicate member":            strings.Replace(good, `"version": 1,`, `"version": 1, "version": 1,`, 1),
		"a member in another case":      strings.Replace(good, `"components"`, `"Components"`, 1),
		"a member that nobody checks":   strings.Replace(good, `"version": 1,`, `"version": 1, "vulnerabilities": [],`, 1),
		"another specification":         strings.Replace(good, `"specVersion": "1.5"`, `"specVersion": "1.6"`, 1),
		"a serial number":               strings.Replace(good, `"version": 1,`, `"serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79", "version": 1,`, 1),
		"a package URL of another":      strings.Replace(good, "pkg:golang/golang.org/x/sys@", "pkg:golang/golang.org/x/net@", 1),
		"a module twice":                strings.Replace(good, "example.org/a", "golang.org/x/sys", 3),
		"white space that Encode lacks": good + "\n",
		"too large":                     strings.Repeat(" ", MaxSize) + good,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if bad == good {
				t.Fatal("the case changes nothing")
			}
			if d, err := Decode([]byte(bad)); err == nil {
				t.Errorf("read as %+v", d)
			}
		})
	}
}

func TestWhatNoBuildWritesIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*debug.BuildInfo){
		"no main module":          func(i *debug.BuildInfo) { i.Main = debug.Module{} },
		"a development toolchain": func(i *debug.BuildInfo) { i.GoVersion = "devel +abc" },
		"a module twice":          func(i *debug.BuildInfo) { i.Deps = append(i.Deps, i.Deps[0]) },
		"a module without a path": func(i *debug.BuildInfo) { i.Deps[0].Path = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d, err := Build(info(change)); err == nil {
				t.Errorf("%+v", d)
			}
		})
	}
	if _, err := Build(nil); err == nil {
		t.Error("nil is described")
	}
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := File(path); err == nil {
		t.Error("a script is described")
	}
}

func TestCheckAtStart(t *testing.T) {
	t.Parallel()
	program, err := Running()
	if err != nil {
		t.Fatal(err)
	}
	own, other := encode(t, program), encode(t, build(t, info(nil)))
	for name, test := range map[string]struct {
		file   []byte
		pinned *manifest.SBOM
		want   string
	}{
		"the bill of this program":         {own, Pin(own), ""},
		"neg 61: SBOM of another binary":   {other, Pin(other), "it is for example.org/notes@v1.2.0"},
		"another file than the pinned one": {own, Pin(other), "is another one"},
		"nothing pinned":                   {own, nil, "pins no bill of materials"},
		"the pin of another format":        {own, &manifest.SBOM{Format: "SPDX", SpecVersion: SpecVersion, SHA256: Pin(own).SHA256}, "is another one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "bom.cdx.json")
			if err := os.WriteFile(path, test.file, 0o600); err != nil {
				t.Fatal(err)
			}
			err := Check(path)(&manifest.Manifest{SBOM: test.pinned})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	if err := Check(filepath.Join(t.TempDir(), "missing"))(&manifest.Manifest{SBOM: Pin(own)}); err == nil {
		t.Error("a missing file passes")
	}
}

func FuzzDecode(f *testing.F) {
	d, err := Build(info(nil))
	if err != nil {
		f.Fatal(err)
	}
	good, err := d.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.5","metadata":{"component":{}},"components":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Decode(data)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q is read and written as %q, %v", data, again, err)
		}
	})
}
