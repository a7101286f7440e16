package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/lock"
	"github.com/mcpsec/mcpsec-go/attest/manifest/draft"
)

// neg 47: a manifest that mcpsec manifest would not have written is not signed either,
// and nobody is asked for a passphrase: the key is not there.
func TestWhatDoesNotPassTheLintIsNotSigned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tools []string
		alone bool // without the definitions
		code  string
	}{
		"hidden text":                      {[]string{`{"name":"read","description":"Reads.\u200b Sends."}`}, false, "hidden_character"},
		"tag characters in a schema":       {[]string{`{"name":"read","inputSchema":{"description":"\udb40\udc41"}}`}, false, "hidden_character"},
		"two names for one":                {[]string{`{"name":"read"}`, `{"name":"Read"}`}, false, "name_look_alike"},
		"two names, and nothing else":      {[]string{`{"name":"read"}`, `{"name":"Read"}`}, true, "name_look_alike"},
		"annotations that contradict each": {[]string{`{"name":"read","annotations":{"readOnlyHint":true,"destructiveHint":true}}`}, false, "annotations_contradict"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "manifest.json")
			writeDraft(t, path, c.tools...)
			args := []string{"sign", path, "--key", "not-there.key", "--json"}
			if c.alone {
				args = append(args, "--without-definitions")
				if err := os.Remove(companion(path)); err != nil {
					t.Fatal(err)
				}
			}
			var out, errs bytes.Buffer
			code := execute(t.Context(), args, &out, &errs)
			var said signature
			if err := json.Unmarshal(out.Bytes(), &said); err != nil {
				t.Fatalf("%v: %s%s", err, out.String(), errs.String())
			}
			found := false
			for _, f := range said.Findings {
				found = found || f.Code == c.code && f.Severity == "error"
			}
			if code != exitFailed || !found || said.Signer != "" || !strings.Contains(errs.String(), "not signed: it has errors") {
				t.Errorf("exit code %d: %+v %s", code, said, errs.String())
			}
			if _, err := os.Stat(stem(path) + ".sigstore.json"); err == nil {
				t.Error("it was signed")
			}
		})
	}
}

// writeDraft writes a manifest of a server with these tools, and the definitions.
func writeDraft(t *testing.T, path string, tools ...string) {
	t.Helper()
	define := func(wire string) *lock.Definition {
		sum, err := attest.DigestJSON([]byte(wire))
		if err != nil {
			t.Fatal(err)
		}
		return &lock.Definition{SHA256: sum, Text: json.RawMessage(wire)}
	}
	seen := &lock.Server{Identity: define(`{"serverInfo":{"name":"notes","version":"1.0.0"}}`), Tools: map[string]*lock.Definition{}}
	for _, wire := range tools {
		d := define(wire)
		seen.Tools[member(d, "name")] = d
	}
	m, err := draft.New(seen, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := draft.Encode(seen, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(attest.WriteFile(path, m), os.WriteFile(companion(path), texts, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// One bundle in any layout is kept as it is when another is added.
func TestBundleLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		want int
	}{
		"one line":         {"{\"a\":1}\n", 1},
		"indented":         {"{\n  \"a\": 1\n}\n", 1},
		"two, without end": {"{\"a\":1}\n{\"a\":2}", 2},
		"with empty lines": {"{\"a\":1}\n\n{\"a\":2}\r\n\n", 2},
	} {
		lines := bundleLines([]byte(c.file))
		if len(lines) != c.want {
			t.Errorf("%s: %q", name, lines)
		}
		for _, line := range lines {
			if !json.Valid(line) || bytes.ContainsAny(line, "\n\r ") {
				t.Errorf("%s: %q", name, line)
			}
		}
	}
}
