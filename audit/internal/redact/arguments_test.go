package redact

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// show prints a result as the tests expect it.
func show(shown []Value, redacted []string, cut bool) string {
	var b strings.Builder
	for _, v := range shown {
		fmt.Fprintf(&b, "%s=%s ", v.Path, v.JSON)
	}
	for _, path := range redacted {
		fmt.Fprintf(&b, "-%s ", path)
	}
	if cut {
		b.WriteString("cut")
	}
	return strings.TrimSpace(b.String())
}

func TestChoice(t *testing.T) {
	t.Parallel()
	const args = ` { "path" : "/a b" , "n" : 9007199254740993 , "list" : [ { "id" : 1 , "x" : "a" } , { "id" : 2 } , 3 ] ,
		"o" : { "a/b" : true , "m~n" : null , "" : 1.50 , "*" : "star" , "\u0061" : { "deep" : [ ] } } } `
	tests := []struct {
		name, paths, args, want string
	}{
		{"nothing chosen there", "/absent /list/9 /list/01 /list/- /path/x /n/0 /o/a/b", args, ""},
		{"top level", "/path /n", args, `/n=9007199254740993 /path="/a b"`},
		{"index", "/list/1/id /list/2", args, "/list/1/id=2 /list/2=3"},
		{"whole containers", "/list", args, `/list=[{"id":1,"x":"a"},{"id":2},3]`},
		{"escapes of RFC 6901", "/o/a~1b /o/m~0n /o/", args, "/o/=1.50 /o/a~1b=true /o/m~0n=null"},
		{"escaped name", "/o/a/deep", args, "/o/a/deep=[]"},
		{"every element", "/list/*/id", args, "/list/0/id=1 /list/1/id=2"},
		{"every member", "/o/*", args, `/o/=1.50 /o/*="star" /o/a={"deep":[]} /o/a~1b=true /o/m~0n=null`},
		{"wildcards one after the other", "/*/*/id", args, "/list/0/id=1 /list/1/id=2"},
		{"chosen twice", "/list/*/id /list/0/id /*/0/id", args, "/list/0/id=1 /list/1/id=2"},
		{"chosen with what is inside", "/o/a /o/a/deep", args, `/o/a={"deep":[]} /o/a/deep=[]`},
		{"everything", "#", `{ "a" : 1 }`, `={"a":1}`},
		{"array", "/1", `[1,2]`, "/1=2"},
		{"bare value", "# /a", `"x"`, `="x"`},
		{"cut short", "/a /b", `{"a":1,"b":`, "/a=1 -/b"},
		{"broken value", "/a /b", `{"a":tru,"b":[1 2]}`, "-/a -/b"},
		{"broken object", "/a /b", `{"a" 1 "b":2}`, "-/a"},
		{"name twice", "/a", `{"a":1,"a":2}`, "/a=1"},
		{"empty", "/a", ``, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			paths := strings.Fields(strings.ReplaceAll(test.paths, "#", " "))
			if strings.Contains(test.paths, "#") {
				paths = append(paths, "")
			}
			p := policy(t, Config{Clear: map[string][]string{"tool": paths}})
			if got := show(p.Arguments("tool", true, json.RawMessage(test.args))); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestEveryTool(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Clear: map[string][]string{"*": {"/a"}, "one": {"/b"}, "none": nil}})
	for tool, want := range map[string]string{"one": "/a=1 /b=2", "other": "/a=1", "none": "/a=1", "*": "/a=1"} {
		if got := show(p.Arguments(tool, true, json.RawMessage(`{"a":1,"b":2}`))); got != want {
			t.Errorf("%s: got %s", tool, got)
		}
	}
}

// What must not be shown even though it was chosen.
func TestWithheld(t *testing.T) {
	t.Parallel()
	const held = "hunter2\"hunter2"
	for name, test := range map[string]struct{ path, args string }{
		"chosen name":                   {"/password", `{"password":"x"}`},
		"name on the way":               {"/credentials/user", `{"credentials":{"user":"x"}}`},
		"name inside":                   {"/a", `{"a":[{"b":{"API-Key":"x"}}]}`},
		"escaped name inside":           {"/a", `{"a":{"p\u0061ss\u0077ord":"x"}}`},
		"name of a pair":                {"/env", `{"env":[{"value":"x","name":"DB_PASSWORD"}]}`},
		"wildcard over a name":          {"/*", `{"apiKey":"x"}`},
		"further name":                  {"/a", `{"a":{"CardNo":"x"}}`},
		"value":                         {"/a", `{"a":"ghp_` + letters + `abcd"}`},
		"value in a list":               {"/a", `{"a":[1,["ghp_` + letters + `abcd"]]}`},
		"value as a name":               {"/a", `{"a":{"ghp_` + letters + `abcd":1}}`},
		"escaped value":                 {"/a", `{"a":"gh\u0070_` + letters + `abcd"}`},
		"JSON in a string":              {"/a", `{"a":"{\"password\":\"x\"}"}`},
		"URL":                           {"/url", `{"url":"https://u:p@h/"}`},
		"long value, secret at its end": {"/a", `{"a":"` + strings.Repeat("x ", 2000) + `ghp_` + letters + `abcd"}`},
		"secret across the cut":         {"/a", `{"a":"` + strings.Repeat("x ", 250) + `ghp_` + letters + `abcd"}`},
		"held":                          {"/a", `{"a":"hunter2\"hunter2"}`},
		"held, escaped":                 {"/a", `{"a":"hunter\u0032\u0022hunter2"}`},
		"held, in base64":               {"/a", `{"a":"` + base64.StdEncoding.EncodeToString([]byte("u:"+held)) + `"}`},
		"held, as a number":             {"/a", `{"a":1234567890}`},
		"held, as a name":               {"/a", `{"a":{"hunter2\"hunter2":1}}`},
		"too long to be searched":       {"/a", `{"a":"` + strings.Repeat("x ", maxSearched) + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := policy(t, Config{Clear: map[string][]string{"tool": {test.path}}, Names: []string{"card no"}, Held: holding(held, "1234567890")})
			shown, redacted, _ := p.Arguments("tool", true, json.RawMessage(test.args))
			if len(shown) != 0 || len(redacted) != 1 {
				t.Errorf("got %v %v", shown, redacted)
			}
		})
	}
}

// A caller chooses the names that a wildcard matches: a secret there is not in the
// path, and neither is a name of any length.
func TestNamesThatWildcardsMatch(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Clear: map[string][]string{"tool": {"/*/a"}}, Held: holding("hunter2hunter2")})
	for in, want := range map[string]string{
		`{"ghp_` + letters + `abcd":{"a":1}}`:                  "-/*/a",
		`{"hunter2hunter2":{"a":1},"xhunter2hunter2":{"a":1}}`: "-/*/a",
		`{"` + strings.Repeat("n", 65) + `":{"a":1}}`:          "-/*/a",
		`{"` + strings.Repeat("n", 64) + `":{"a":1}}`:          "/" + strings.Repeat("n", 64) + "/a=1",
	} {
		if got := show(p.Arguments("tool", true, json.RawMessage(in))); got != want {
			t.Errorf("%s: got %s", in, got)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Clear: map[string][]string{"tool": {"/z", "/a/*"}}})
	text := func(n int) string { return `"` + strings.Repeat("é", n/2-1) + `"` }
	list := func(n int, value string) string { return `{"a":[` + strings.Repeat(value+",", n) + `0],"z":"last"}` }
	tests := []struct {
		name, args               string
		clear, redacted, longest int
		cut                      bool
	}{
		{"value at the limit", `{"z":` + text(maxValue) + `}`, 1, 0, maxValue, false},
		{"value above it", `{"z":` + text(maxValue+2) + `}`, 1, 0, maxValue, true},
		{"many values", list(1000, `1`), maxValues, 0, 6, true},
		{"total", list(20, text(maxValue)), 9, 0, maxValue, true},
		{"many redacted", list(1000, `{"token":1}`), 1, maxValues, 6, true},
		{"many of both", list(1000, `{"token":1},1`), maxValues, maxValues, 6, true},
		{"many long", list(100, `"`+strings.Repeat("x", maxLong)+`"`), 2, maxValues, 6, true},
		{"a flood", list(200_000, `{}`), maxValues, 0, 6, true},
		{"too long", list(3, text(maxLong+2)), 2, 3, 6, true},
		{"more than is searched", list(5, text(maxLong-256)), 5, 1, maxValue, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			shown, redacted, cut := p.Arguments("tool", true, json.RawMessage(test.args))
			longest := 0
			for _, v := range shown {
				longest = max(longest, len(v.JSON))
				if strings.HasSuffix(v.JSON, ellipsis) && strings.Contains(v.JSON, "\ufffd") {
					t.Errorf("cut within a character: %q", v.JSON)
				}
			}
			if len(shown) != test.clear || len(redacted) != test.redacted || longest > test.longest || longest < test.longest-3 || cut != test.cut {
				t.Errorf("got %d values up to %d bytes, %d redacted, cut %v", len(shown), longest, len(redacted), cut)
			}
			// A pointer without a wildcard has its turn before what a caller can multiply.
			if !slices.ContainsFunc(shown, func(v Value) bool { return v.Path == "/z" }) {
				t.Error("/z is missing")
			}
		})
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 10_000) + `1` + strings.Repeat(`}`, 10_000)
	p := policy(t, Config{Clear: map[string][]string{"t": {"", "/a/a", strings.Repeat("/a", maxSegments), strings.Repeat("/*", maxSegments)}}})
	shown, redacted, _ := p.Arguments("t", true, json.RawMessage(deep))
	if len(shown)+len(redacted) != 3 {
		t.Errorf("got %d values, %d redacted", len(shown), len(redacted))
	}
	p.Arguments("t", true, json.RawMessage(deep[:30_000])) // unclosed
}

func TestNothingChosenCostsNothing(t *testing.T) {
	p := policy(t, Config{Clear: map[string][]string{"other": {"/a"}}})
	args := json.RawMessage(`{"a":` + strconv.Itoa(1) + `}`)
	schema := any(map[string]any{"writeOnly": make(chan int)}) // whoever looked at it would see
	if allocs := testing.AllocsPerRun(100, func() {
		if shown, redacted, cut := p.Arguments("tool", schema, args); shown != nil || redacted != nil || cut {
			t.Error("something was shown")
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
