package cef

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What rsyslog's parser (liblognorm) reads is what was written, for every attack in
// every place.
func TestLiblognormReadsTheSameFields(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("lognormalizer")
	if err != nil {
		t.Skip("lognormalizer is not installed: apt install liblognorm-utils")
	}
	rules := filepath.Join(t.TempDir(), "cef.rulebase")
	if err := os.WriteFile(rules, []byte("version=2\nrule=:%f:cef%\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	d := dialects(t, Config{})[0]
	var messages bytes.Buffer
	var want []*parsed
	for _, attack := range attacks {
		for i := range len(chosen) + 1 { // in each place, and at last in all
			e := hostile()
			for j, c := range chosen {
				if i == j || i == len(chosen) {
					*c.text(e) = attack
				}
			}
			message, err := d.format.AppendRecord(nil, record(e, 1))
			if err != nil {
				t.Fatal(err)
			}
			p, err := parseCEF(string(message))
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, p)
			messages.Write(append(message, '\n'))
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-r", rules, "-e", "json")
	cmd.Stdin = &messages
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(out, []byte("\n")), []byte("\n"))
	if len(lines) != len(want) {
		t.Fatalf("%d messages became %d", len(want), len(lines))
	}
	for i, line := range lines {
		var got struct {
			F struct {
				Vendor     string            `json:"DeviceVendor"`
				Product    string            `json:"DeviceProduct"`
				Version    string            `json:"DeviceVersion"`
				Signature  string            `json:"SignatureID"`
				Name       string            `json:"Name"`
				Severity   string            `json:"Severity"`
				Extensions map[string]string `json:"Extensions"`
			} `json:"f"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		f := got.F
		if _, whole := f.Extensions["rt"]; !whole { // liblognorm 2.0.6 drops the first byte of the first key
			f.Extensions["rt"] = f.Extensions["t"]
			delete(f.Extensions, "t")
		}
		header := []string{f.Vendor, f.Product, f.Version, f.Signature, f.Name, f.Severity}
		if !slices.Equal(header, want[i].header) || !maps.Equal(f.Extensions, want[i].fields) {
			t.Fatalf("%s\nwant %q", line, want[i].fields)
		}
	}
}
