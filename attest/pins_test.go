package attest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const goodManifest = `{
  "version": 1,
  "server": {
    "name": "notes",
    "version": "1.2.0"
  },
  "instructionsSha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "tools": [
    {
      "name": "a",
      "version": "1.2.0",
      "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    },
    {
      "name": "b",
      "version": "",
      "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    }
  ],
  "executableSha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
}
`

func TestManifestRoundTrip(t *testing.T) {
	p, err := attest.Decode([]byte(goodManifest))
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != goodManifest {
		t.Errorf("encoded as\n%s", out)
	}
	file := filepath.Join(t.TempDir(), "manifest.json")
	for range 2 { // the second replaces the first
		if err := p.WriteFile(file); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	link := file + ".link"
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, link} {
		if again, err := attest.Load(name); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("loaded %+v, %v", again, err)
		}
	}
}

func TestManifestRefused(t *testing.T) {
	edit := func(from, to string) string {
		if !strings.Contains(goodManifest, from) {
			t.Fatalf("no %q to replace", from)
		}
		return strings.Replace(goodManifest, from, to, 1)
	}
	hex := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	before, _, _ := strings.Cut(goodManifest, `"tools"`)
	tests := []struct{ attack, manifest, want string }{
		{"unknown member", edit(`"version": 1`, `"version": 1, "allowOthers": true`), "unknown member"},
		{"unknown member of a tool", edit(`"name": "a"`, `"name": "a", "trusted": true`), "unknown member"},
		{"unknown member of the server", edit(`"name": "notes"`, `"name": "notes", "title": ""`), "unknown member"},
		{"member in another case", edit(`"tools"`, `"Tools"`), "unknown member"},
		{"member twice", edit(`"version": 1`, `"version": 1, "version": 1`), "duplicate"},
		{"member twice, escaped", edit(`"sha256": "`, `"sh\u00612\u0035\u0036": "`+strings.Repeat("f", 64)+`", "sha256": "`), "duplicate"},
		{"upper-case digest", edit(hex, strings.ToUpper(hex)), "lower-case"},
		{"short digest", edit(hex, hex[:40]), "tools[0].sha256"},
		{"long digest", edit(hex, hex+"00"), "tools[0].sha256"},
		{"prefixed digest", edit(hex, "sha256:"+hex[7:]), "tools[0].sha256"},
		{"no digest", edit(hex, ""), "tools[0].sha256"},
		{"tool twice", edit(`"name": "b"`, `"name": "a"`), "name of the one before"},
		{"unsorted tools", edit(`"name": "b"`, `"name": "A"`), "out of order"},
		{"nameless tool", edit(`"name": "a"`, `"name": ""`), "tools[0].name"},
		{"endless name", edit(`"name": "a"`, `"name": "`+strings.Repeat("a", 129)+`"`), "tools[0].name"},
		{"null tools", before + `"tools": null}`, "tools is missing"},
		{"null tool", edit(`{
      "name": "a",`, `null, {"name": "a",`), "tools[0].name"},
		{"version 2", edit(`"version": 1,`, `"version": 2,`), "version is 2"},
		{"version as text", edit(`"version": 1,`, `"version": "1",`), "does not fit"},
		{"version 1.0", edit(`"version": 1,`, `"version": 1.0,`), "does not fit"},
		{"no server", edit(`"name": "notes"`, `"name": ""`), "server.name"},
		{"no instructions", edit(`"instructionsSha256": "e3b0`, `"instructionsSha256": "`), "instructionsSha256"},
		{"bad executable", edit(`"executableSha256": "e3b0`, `"executableSha256": "E3B0`), "executableSha256"},
		{"empty object", `{}`, "version is 0"},
		{"null", `null`, "null"},
		{"trailing bytes", goodManifest + "{}", "after the value"},
		{"byte order mark", "\ufeff" + goodManifest, "strict JSON"},
		{"invalid UTF-8", edit("notes", "not\xffes"), "UTF-8"},
		{"lone surrogate", edit("notes", `not\ud800es`), "surrogate"},
		{"depth bomb", strings.Repeat("[", 500_000), "nested too deep"},
		{"too large", goodManifest + strings.Repeat(" ", attest.MaxManifest), "too large"},
		{"empty", "", "strict JSON"},
	}
	for _, test := range tests {
		t.Run(test.attack, func(t *testing.T) {
			p, err := attest.Decode([]byte(test.manifest))
			if err == nil || p != nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %+v, %v; want an error with %q", p, err, test.want)
			}
			file := filepath.Join(t.TempDir(), "manifest.json")
			if err := os.WriteFile(file, []byte(test.manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := mcpsec.New(attest.New(attest.Manifest(file))); err == nil {
				t.Error("a guard took it")
			}
		})
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	for name, p := range map[string]*attest.Pins{
		"nil": nil, "zero": {},
		"too large": {
			Version: 1, Server: attest.ServerPin{Name: "n", Version: strings.Repeat("x", attest.MaxManifest)},
			InstructionsSHA256: otherDigest, Tools: []attest.ToolPin{},
		},
	} {
		if data, err := p.Encode(); err == nil {
			t.Errorf("%s: encoded as %.100s", name, data)
		}
		file := filepath.Join(t.TempDir(), "m")
		if err := p.WriteFile(file); err == nil {
			t.Errorf("%s: written", name)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: left a file", name)
		}
	}
	p, _ := attest.Decode([]byte(goodManifest))
	if err := p.WriteFile(filepath.Join(t.TempDir(), "none", "m")); err == nil {
		t.Error("written into a directory that does not exist")
	}
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.MkdirAll(filepath.Join(dir, "m", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteFile(filepath.Join(dir, "m")); err == nil {
		t.Error("replaced a directory")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestManifestIsDeterministic(t *testing.T) {
	var last []byte
	for range 3 {
		out, err := pins(t, "x", noteTool()).Encode()
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && !bytes.Equal(out, last) {
			t.Errorf("two manifests of one server:\n%s\n%s", last, out)
		}
		last = out
	}
}
