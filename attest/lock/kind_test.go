package lock

import (
	"testing"

	"github.com/mcpsec/mcpsec-go/attest/internal/tooldef"
)

func TestReadPage(t *testing.T) {
	t.Parallel()
	const a = `{"name":"a","inputSchema":{"type":"object"}}`
	for _, test := range []struct {
		name, result string
		shown        int
		complete, ok bool
	}{
		{"one tool", `{"tools":[` + a + `],"nextCursor":"2"}`, 1, true, true},
		{"none", `{"tools":[]}`, 0, true, true},
		{"null for none", `{"tools":null}`, 0, true, true},
		{"input required", `{"resultType":"input_required","inputRequests":{}}`, 0, false, true},
		{"input required beside a tool", `{"resultType":"input_required","tools":[` + a + `]}`, 1, true, true},
		{"neither", `{"resultType":"complete"}`, 0, false, false},
		{"result type in another case", `{"ResultType":"input_required"}`, 0, false, false},
		{"cursor that is no string", `{"tools":[],"nextCursor":2}`, 0, false, false},
		{"an array", `[` + a + `]`, 0, false, false},
		{"null", `null`, 0, false, false},
		{"nothing", ``, 0, false, false},
		{"definition that is no object", `{"tools":["a"]}`, 0, false, false},
		{"definition without a name", `{"tools":[{}]}`, 0, false, false},
		{"empty name", `{"tools":[{"name":""}]}`, 0, false, false},
	} {
		p, complete, err := Tool.read([]byte(test.result))
		if (err == nil) != test.ok || complete != test.complete || len(p.shown) != test.shown {
			t.Errorf("%s: %d shown, complete %v, %v", test.name, len(p.shown), complete, err)
		}
	}
}

// The digest is that of package attest, so that a lock file and a manifest agree.
func TestDigestIsTheDefinitionDigest(t *testing.T) {
	t.Parallel()
	const wire = ` { "name" : "a", "description" : "\u00e9\/", "n": 1.50e1 } `
	d, err := Tool.show([]byte(wire))
	if err != nil {
		t.Fatal(err)
	}
	want, err := tooldef.Digest([]byte(wire))
	if err != nil || d.sha256 != want {
		t.Errorf("%s, want %s, %v", d.sha256, want, err)
	}
}

// Discover and initialize say the same in two forms.
func TestIdentityDoesNotDependOnTheRevision(t *testing.T) {
	t.Parallel()
	first, err := identify([]byte(`{"protocolVersion":"2025-11-25","serverInfo":{"name":"x"},"capabilities":{},"instructions":"i"}`))
	if err != nil {
		t.Fatal(err)
	}
	second, err := identify([]byte(`{"supportedVersions":["2026-07-28"],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"x"}},"ttlMs":5,"capabilities":{},"instructions":"i","resultType":"complete"}`))
	if err != nil {
		t.Fatal(err)
	}
	if first.sha256 != second.sha256 {
		t.Errorf("%s\n%s", first.text, second.text)
	}
	for name, other := range map[string]string{
		"more in _meta":  `{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"x"},"y":1},"capabilities":{},"instructions":"i"}`,
		"another member": `{"serverInfo":{"name":"x"},"capabilities":{},"instructions":"i","y":1}`,
		"two identities": `{"serverInfo":{"name":"x"},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"y"}},"capabilities":{},"instructions":"i"}`,
	} {
		if d, err := identify([]byte(other)); err != nil || d.sha256 == first.sha256 {
			t.Errorf("%s: the same identity, %v", name, err)
		}
	}
}
