package vuln

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBinary(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		entries []entry
		level   Level
		open    int
		below   int
		want    string
	}{
		"nothing known":                           {nil, 0, 0, 0, ""},
		"a vulnerable function that is linked":    {[]entry{linked}, 0, 1, 0, "links " + cyclone + ".NewBOM"},
		"one of a package that is linked, not it": {[]entry{unlinked}, 0, 0, 1, ""},
		"the same, with a stricter gate":          {[]entry{unlinked}, Package, 1, 0, "links the package " + cyclone},
		"one of a package that is not linked":     {[]entry{nearby}, Package, 0, 1, ""},
		"the same, with the strictest gate":       {[]entry{nearby}, ModuleLevel, 1, 0, "has the module"},
		"a module that the program does not link": {[]entry{{"GO-2026-0009", "example.org/other", []string{"F"}}}, ModuleLevel, 0, 0, ""},
		"a vulnerable standard library":           {[]entry{{"GO-2026-0010", "stdlib", nil}}, ModuleLevel, 1, 0, "pkg:golang/std@1."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &Gate{DB: database(t, today, test.entries...), Level: test.level, Now: clock}
			v, err := g.Binary(t.Context(), program(t))
			if err != nil {
				t.Fatal(err)
			}
			if v.Count(Open) != test.open || v.Count(Below) != test.below || !v.DBModified.Equal(today) {
				t.Errorf("%+v", v)
			}
			err = v.Err()
			if (err != nil) != (test.open > 0) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			pin, err := v.Pin()
			if (err == nil) != (test.open == 0) || err == nil && (pin.Gate != "passed" || !pin.DBModified.Equal(today)) {
				t.Errorf("pinned as %+v, %v", pin, err)
			}
		})
	}
}

func TestTheGateStaysShut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blob := filepath.Join(dir, "blob") // what the engine would take for a program that links nothing
	if err := os.WriteFile(blob, []byte(`{"name":"govulncheck-extract","version":"0.1.0"}{"Modules":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	good := database(t, today)
	for name, test := range map[string]struct {
		gate Gate
		path string
		want string
	}{
		"neg 61: vuln DB too old":            {Gate{DB: database(t, today.Add(-8*24*time.Hour))}, program(t), "8 days old, and may be 7: update it"},
		"older than this gate wants":         {Gate{DB: database(t, today.Add(-2*time.Hour)), MaxAge: time.Hour}, program(t), "update it"},
		"a database of the future":           {Gate{DB: database(t, today.Add(48*time.Hour))}, program(t), "in the future"},
		"a database without a day":           {Gate{DB: database(t, time.Time{})}, program(t), "does not say of what day"},
		"an empty folder":                    {Gate{DB: "file://" + filepath.ToSlash(dir)}, program(t), "vuln: "},
		"a missing folder":                   {Gate{DB: "file:///no/such/folder"}, program(t), "vuln: "},
		"no database":                        {Gate{}, program(t), `database "" is no file:// folder`},
		"a database that anybody may change": {Gate{DB: "http://vuln.example.org"}, program(t), "is no file:// folder or https:// address"},
		"a file that only looks like a scan": {Gate{DB: good}, blob, "sbom: "},
		"a missing program":                  {Gate{DB: good}, filepath.Join(dir, "missing"), "sbom: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.gate.Now = clock
			v, err := test.gate.Binary(t.Context(), test.path)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%+v, %v, want %q", v, err, test.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := (&Gate{DB: good, Now: clock}).Binary(ctx, program(t)); err == nil && v.DBModified.IsZero() {
		t.Errorf("a cancelled scan passes: %+v", v)
	}
}

// vex makes a document with one statement.
func vex(statement string) string {
	return `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.org/vex/1","author":"a","timestamp":"2026-11-01T00:00:00Z","version":1,"statements":[` + statement + `]}`
}

const (
	thisModule = "pkg:golang/github.com/mcpsec/mcpsec-go"
	excuse     = `{"vulnerability":{"name":%q},"products":[{"@id":%q%s}],"status":"not_affected","justification":"vulnerable_code_not_in_execute_path","status_notes":"reviewed; expires=%s"}`
)

func TestExceptions(t *testing.T) {
	t.Parallel()
	url := database(t, today, linked)
	for name, test := range map[string]struct {
		statement string
		state     State
		unused    int
	}{
		"by the id of the database":         {fmt.Sprintf(excuse, "GO-2026-0001", thisModule, "", "2026-12-31"), Excused, 0},
		"by an alias":                       {fmt.Sprintf(excuse, "CVE-GO-2026-0001", thisModule, "", "2026-12-31"), Excused, 0},
		"for the vulnerable module":         {fmt.Sprintf(excuse, "GO-2026-0001", thisModule, `,"subcomponents":[{"@id":"pkg:golang/`+cyclone+`"}]`, "2026-12-31"), Excused, 0},
		"for another module":                {fmt.Sprintf(excuse, "GO-2026-0001", thisModule, `,"subcomponents":[{"@id":"pkg:golang/example.org/x"}]`, "2026-12-31"), Open, 1},
		"for another version of the module": {fmt.Sprintf(excuse, "GO-2026-0001", thisModule, `,"subcomponents":[{"@id":"pkg:golang/`+cyclone+`@v0.1.0"}]`, "2026-12-31"), Open, 1},
		"for another product":               {fmt.Sprintf(excuse, "GO-2026-0001", "pkg:golang/example.org/other", "", "2026-12-31"), Open, 1},
		"for another vulnerability":         {fmt.Sprintf(excuse, "GO-2026-0002", thisModule, "", "2026-12-31"), Open, 1},
		"neg 61: VEX expired":               {fmt.Sprintf(excuse, "GO-2026-0001", thisModule, "", "2026-11-22"), Open, 0},
		"nobody has decided":                {`{"vulnerability":{"name":"GO-2026-0001"},"products":[{"@id":"` + thisModule + `"}],"status":"under_investigation"}`, Open, 0},
		"a risk that is taken":              {`{"vulnerability":{"name":"GO-2026-0001"},"products":[{"@id":"` + thisModule + `"}],"status":"affected","action_statement":"No untrusted input reaches it.","status_notes":"expires=2026-12-01"}`, Excused, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, err := DecodeVEX([]byte(vex(test.statement)))
			if err != nil {
				t.Fatal(err)
			}
			g := &Gate{DB: url, Exceptions: x, Now: clock}
			v, err := g.Binary(t.Context(), program(t))
			if err != nil {
				t.Fatal(err)
			}
			if len(v.Findings) != 1 || v.Findings[0].State != test.state || len(v.Unused) != test.unused || v.VEXSHA256 == "" {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestExceptionsThatDecideNothingAreRefused(t *testing.T) {
	t.Parallel()
	good := vex(fmt.Sprintf(excuse, "GO-2026-0001", thisModule, "", "2026-12-31"))
	if _, err := DecodeVEX([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"no expiry":                  {"expires=2026-12-31", "for now"},
		"two expiries":               {"expires=2026-12-31", "expires=2026-12-31 expires=2036-12-31"},
		"a day that does not exist":  {"2026-12-31", "2026-13-31"},
		"no justification":           {`"vulnerable_code_not_in_execute_path"`, `""`},
		"an invented justification":  {"vulnerable_code_not_in_execute_path", "trust_me"},
		"an unknown status":          {`"not_affected"`, `"ignored"`},
		"affected without an action": {`"not_affected"`, `"affected"`},
		"no product":                 {`[{"@id":"` + thisModule + `"}]`, `[]`},
		"no vulnerability":           {`"GO-2026-0001"`, `""`},
		"a product by its hash":      {`{"@id":"` + thisModule + `"}`, `{"@id":"` + thisModule + `","hashes":{"sha-256":"00"}}`},
		"an unknown member":          {`"status":`, `"only_on":"windows","status":`},
		"a member twice":             {`"status":`, `"status":"fixed","status":`},
		"another context":            {"https://openvex.dev/ns/v0.2.0", "https://example.org"},
		"trailing bytes":             {`}]}`, `}]}x`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := strings.Replace(good, change[0], change[1], 1)
			if bad == good {
				t.Fatal("the case changes nothing")
			}
			if x, err := DecodeVEX([]byte(bad)); err == nil {
				t.Errorf("%+v", x)
			}
		})
	}
}

const grypeGood = `{"matches":[{"vulnerability":{"id":"GHSA-x","severity":"High","description":"One\ntwo","fix":{"versions":["2.0"],"state":"fixed"}},
	"relatedVulnerabilities":[{"id":"CVE-2026-1"}],"artifact":{"name":"left-pad","version":"1.0","purl":"pkg:npm/left-pad@1.0"}}],
	"descriptor":{"name":"grype","version":"0.100.0","db":{"status":{"built":"2026-11-22T00:00:00Z"}}}}`

func TestGrype(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		old, new string
		gate     Gate
		open     int
		want     string
	}{
		"a match":                             {"", "", Gate{}, 1, ""},
		"below the gate's severity":           {"", "", Gate{Severity: Critical}, 0, ""},
		"of the gate's severity":              {"", "", Gate{Severity: High}, 1, ""},
		"a severity that nobody knows":        {`"High"`, `"Unknown"`, Gate{Severity: Critical}, 1, ""},
		"what Grype was told to ignore":       {`"matches":`, `"matches":[],"ignoredMatches":`, Gate{}, 1, ""},
		"the database of an older Grype":      {`"status":{"built":"2026-11-22T00:00:00Z"}`, `"built":"2026-11-21T00:00:00Z"`, Gate{}, 1, ""},
		"neg 61: a database that is too old":  {`2026-11-22`, `2026-10-22`, Gate{}, 0, "31 days old"},
		"a database without a day":            {`{"status":{"built":"2026-11-22T00:00:00Z"}}`, `{}`, Gate{}, 0, "does not say of what day"},
		"a database that is not valid":        {`"status":{`, `"status":{"valid":false,`, Gate{}, 0, "faulty"},
		"a faulty database":                   {`"status":{`, `"status":{"error":"corrupt",`, Gate{}, 0, "faulty"},
		"a report of something else":          {`"name":"grype"`, `"name":"syft"`, Gate{}, 0, "not one of Grype"},
		"a report without matches":            {`"matches":`, `"hits":`, Gate{}, 0, "not one of Grype"},
		"a match without a vulnerability":     {`"GHSA-x"`, `""`, Gate{}, 0, "match without"},
		"matches twice, the second one empty": {`"descriptor"`, `"matches":[],"descriptor"`, Gate{}, 0, "duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := strings.Replace(grypeGood, test.old, test.new, 1)
			test.gate.Now = clock
			v, err := test.gate.Grype([]byte(report))
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if v.Count(Open) != test.open || len(v.Findings) != 1 {
				t.Errorf("%+v", v)
			}
		})
	}
	x, err := DecodeVEX([]byte(vex(fmt.Sprintf(excuse, "CVE-2026-1", "pkg:oci/notes", "", "2026-12-31"))))
	if err != nil {
		t.Fatal(err)
	}
	v, err := (&Gate{Now: clock, Exceptions: x, Product: "pkg:oci/notes@sha256%3A00"}).Grype([]byte(grypeGood))
	if err != nil || v.Count(Excused) != 1 {
		t.Errorf("an exception by alias: %+v, %v", v, err)
	}
}

func TestSyft(t *testing.T) {
	t.Parallel()
	report := func(artifacts string) string { return `{"artifacts":[` + artifacts + `],"descriptor":{"name":"syft"}}` }
	const module = `{"name":"` + cyclone + `","version":"v0.12.0","type":"go-module","purl":"pkg:golang/x"}`
	for name, test := range map[string]struct {
		report string
		open   int
		want   string
	}{
		"a vulnerable module":            {report(module), 1, ""},
		"the same module in two places":  {report(module + "," + module), 1, ""},
		"a module with nothing known":    {report(`{"name":"example.org/x","version":"v1.0.0","type":"go-module"}`), 0, ""},
		"beside the main module":         {report(`{"name":"example.org/main","version":"(devel)","type":"go-module"},` + module), 1, ""},
		"a vulnerable standard library":  {report(`{"name":"stdlib","version":"go1.26.8","type":"go-module"}`), 1, ""},
		"a package of another ecosystem": {report(module + `,{"name":"left-pad","version":"1.0.0","type":"npm"}`), 0, `npm package "left-pad"`},
		"nothing":                        {report(""), 0, "nothing to judge"},
		"a module that is a flag":        {report(`{"name":"-db=file:///tmp","version":"v1.0.0","type":"go-module"}`), 0, "without version"},
		"a report of something else":     {`{"artifacts":[],"descriptor":{"name":"grype"}}`, 0, "not one of Syft"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &Gate{DB: database(t, today, linked, entry{"GO-2026-0010", "stdlib", nil}), Now: clock}
			v, err := g.Syft(t.Context(), []byte(test.report))
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if v.Count(Open) != test.open {
				t.Errorf("%+v", v)
			}
		})
	}
}

func FuzzDecodeVEX(f *testing.F) {
	f.Add([]byte(vex(fmt.Sprintf(excuse, "GO-2026-0001", thisModule, "", "2026-12-31"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := DecodeVEX(data)
		if err != nil {
			return
		}
		for _, e := range x.list {
			if e.Expires.IsZero() || e.Reason == "" || len(e.products) == 0 {
				t.Errorf("%q makes the exception %+v", data, e)
			}
		}
	})
}

func FuzzGrype(f *testing.F) {
	f.Add([]byte(grypeGood))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := (&Gate{Now: clock}).Grype(data)
		if err == nil && v.DBModified.IsZero() {
			t.Errorf("%q passes without a database", data)
		}
	})
}

// TestOurOwnExceptions: the exceptions of this module's own gate decide something.
func TestOurOwnExceptions(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/exceptions.openvex.json")
	if err != nil {
		t.Fatal(err)
	}
	x, err := DecodeVEX(data)
	if err != nil {
		t.Fatal(err)
	}
	f := &Finding{ID: "GO-2026-4529", Component: "pkg:golang/github.com/sigstore/cosign/v2@v2.6.5"}
	if x.find("pkg:golang/github.com/mcpsec/mcpsec-go@v1.0.0", f) == nil {
		t.Error("the known fault of cosign is not excused")
	}
	if f.Component = "pkg:golang/example.org/other@v1.0.0"; x.find("pkg:golang/github.com/mcpsec/mcpsec-go@v1.0.0", f) != nil {
		t.Error("another module's fault is excused")
	}
}
