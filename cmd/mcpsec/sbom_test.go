package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBillOfMaterials builds a program: a test binary does not know its modules.
func TestBillOfMaterials(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, bill := filepath.Join(dir, "program.exe"), filepath.Join(dir, "bill.json")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../attest/sbom/testdata/program").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(want int, args ...string) (string, string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := execute(t.Context(), args, &out, &errs); code != want {
			t.Fatalf("%s: exit code %d\n%s%s", args, code, out.String(), errs.String())
		}
		return out.String(), errs.String()
	}
	printed, _ := run(exitOK, "sbom", program)
	out, _ := run(exitOK, "sbom", program, "-o", bill)
	written, err := os.ReadFile(bill)
	if err != nil || string(written) != printed || !strings.Contains(out, "written to") {
		t.Errorf("printed and written differ: %v\n%s", err, out)
	}
	out, _ = run(exitOK, "sbom", program, "--check", bill, "--json")
	var said struct {
		Format      string `json:"format"`
		SpecVersion string `json:"specVersion"`
		Modules     int    `json:"modules"`
		File        string `json:"file"`
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil || said.Format != "CycloneDX" || said.SpecVersion != "1.5" || said.Modules == 0 || said.File != bill {
		t.Errorf("%+v, %v", said, err)
	}
	changed := bytes.Replace(written, []byte("h1:"), []byte("h1:x"), 1)
	if err := os.WriteFile(bill, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs := run(exitFailed, "sbom", program, "--check", bill); !strings.Contains(errs, "(h1:x") {
		t.Errorf("the difference is not named: %s", errs)
	}
	if _, errs := run(exitUsage, "sbom", program, "--check", bill, "-o", bill); !strings.Contains(errs, "give one of") {
		t.Error(errs)
	}
	if _, errs := run(exitFailed, "sbom", bill); !strings.Contains(errs, "only a program built by Go") {
		t.Error(errs)
	}
}
