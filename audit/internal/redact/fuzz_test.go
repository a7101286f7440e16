package redact

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// FuzzText checks, with a secret held and without, that a text stays UTF-8, is
// bounded, has nothing more to blank, and that the held secret is gone.
func FuzzText(f *testing.F) {
	for _, seed := range []string{
		"plain text", "AKIA" + "IOSFODNN7EXAMPLEAKIA" + "IOSFODNN7EXAMPL2", "npm_npm_" + letters + "abcd", "https://u:p@h/://:@", header + "." + header + "..", block,
		"hf_hf_" + letters, "dop_v1_dop_v1_" + hexes + hexes, "SG.SG." + long, "sk-sk-ant-" + long, "bearer basic Bearer:" + letters, `{"password":"a\"b","token":'x'}`,
		"[secret:held][secret:", "a=b==c:=d=>e", "Cookie: a=b", "xoxb-xoxb-123456789", "password=[argument]", "<Secret>x</Secret>", `\"token\":\"a\\\"b\"`, "secret access key " + amazon,
	} {
		f.Add(seed, "hunter2hunter2")
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, text, secret string) {
		for _, p := range []*Policy{policy(t, Config{}), policy(t, Config{Held: holding(secret)})} {
			got, hit := p.Text(text)
			if hit != p.found(text) || !hit && got != text {
				t.Fatalf("%q: hit %v, got %q", text, hit, got)
			}
			if utf8.ValidString(text) && !utf8.ValidString(got) {
				t.Fatalf("%q became %q", text, got)
			}
			if len(got) > 6*len(text)+16 {
				t.Fatalf("%d bytes became %d", len(text), len(got))
			}
			if again, hit := p.Text(got); hit || again != got {
				t.Fatalf("%q became %q, and that %q", text, got, again)
			}
			trimmed := strings.TrimSpace(secret)
			if p.held != nil && len(trimmed) >= minHeld && !strings.Contains(trimmed, "]") && !strings.Contains(trimmed, "[") && strings.Contains(removed(got), trimmed) {
				t.Fatalf("%q is in %q", trimmed, got)
			}
		}
	})
}

// removed takes out what was blanked.
func removed(s string) string {
	for _, m := range markers {
		s = strings.ReplaceAll(s, m, "\x00")
	}
	return s
}

// FuzzArguments checks that nothing fails and nothing leaks, whatever the JSON, the
// schema and the paths: what is shown is a part of the input, bounded, in order.
func FuzzArguments(f *testing.F) {
	f.Add(`{"a":{"b":[1,"x",{"password":"y"}]}}`, `{"properties":{"a":{"$ref":"#"}}}`, "/a/b/*", "/a")
	f.Add(`[[["AK\u0049A`+`IOSFODNN7EXAMPLE"]]]`, `true`, "/0/*/0", "")
	f.Add(`{"a":1,"a":2`, `{"items":[{"writeOnly":true}],"$defs":{"x":{"$ref":"#/$defs/x"}}}`, "/*/*", "/a")
	f.Add(`{"a":hunter2hunter2}`, `{`, "/~0~1", "/a")
	f.Fuzz(func(t *testing.T, raw, schema, one, two string) {
		const secret = "hunter2hunter2"
		p, err := New(Config{Clear: map[string][]string{"t": {one}, "*": {two, "/*"}}, Held: holding(secret)})
		if err != nil {
			return
		}
		shown, redacted, _ := p.Arguments("t", json.RawMessage(schema), json.RawMessage(raw))
		if len(shown) > maxValues || len(redacted) > maxValues {
			t.Fatalf("%d values, %d redacted", len(shown), len(redacted))
		}
		total := 0
		for i, v := range shown {
			if i > 0 && shown[i-1].Path >= v.Path {
				t.Fatalf("%q before %q", shown[i-1].Path, v.Path)
			}
			if _, err := parsePointer(v.Path); err != nil && len(v.Path) <= maxPointer && utf8.ValidString(v.Path) {
				t.Fatalf("path %q: %v", v.Path, err)
			}
			if total += len(v.Path) + len(v.JSON); len(v.JSON) > maxValue || total > maxTotal {
				t.Fatalf("%d bytes, %d in total", len(v.JSON), total)
			}
			if !strings.HasSuffix(v.JSON, ellipsis) && mcpsec.CheckJSON([]byte(raw)) == nil && !json.Valid([]byte(v.JSON)) {
				t.Fatalf("%q of %q is no JSON", v.JSON, raw)
			}
			if strings.Contains(v.JSON, secret) || strings.Contains(v.Path, secret) && !strings.Contains(one+two, secret) {
				t.Fatalf("the secret is in %+v", v)
			}
		}
	})
}
