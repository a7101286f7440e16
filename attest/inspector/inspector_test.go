package inspector

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/attest/vuln"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func bill(urls ...string) []byte {
	var parts []string
	for i, u := range urls {
		parts = append(parts, fmt.Sprintf(`{"bom-ref":"c%d","type":"library","name":"n%d","version":"1","purl":%q}`, i, i, u))
	}
	return []byte(`{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"components":[` + strings.Join(parts, ",") + `]}`)
}

type object = map[string]any

func rated(severities ...string) object {
	ratings := []any{}
	for _, s := range severities {
		ratings = append(ratings, object{"severity": s})
	}
	return object{
		"id": "CVE-2026-1", "description": "A made-up fault.", "ratings": ratings, "references": []any{object{"id": "GHSA-x"}},
		"properties": []any{object{"name": "amazon:inspector:sbom_scanner:fixed_version:c0", "value": "1.0.1"}},
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	const a, b = "pkg:golang/example.org/a@v1.0.0", "pkg:golang/example.org/b@v1.0.0"
	for name, test := range map[string]struct {
		service fakeaws.Inspector
		gate    vuln.Gate
		open    int
		want    string // of the open finding
	}{
		"nothing known":                    {fakeaws.Inspector{}, vuln.Gate{}, 0, ""},
		"a vulnerable component":           {fakeaws.Inspector{Vulnerable: map[string]map[string]any{a: rated("low", "high")}}, vuln.Gate{Severity: vuln.High}, 1, "severity high: A made-up fault.; fixed in 1.0.1"},
		"one below the gate":               {fakeaws.Inspector{Vulnerable: map[string]map[string]any{a: rated("low", "medium")}}, vuln.Gate{Severity: vuln.High}, 0, ""},
		"one of a severity nobody knows":   {fakeaws.Inspector{Vulnerable: map[string]map[string]any{b: rated("dreadful")}}, vuln.Gate{Severity: vuln.Critical}, 1, "severity critical"},
		"one without a severity":           {fakeaws.Inspector{Vulnerable: map[string]map[string]any{b: rated()}}, vuln.Gate{Severity: vuln.Critical}, 1, "severity critical"},
		"beside one that nobody can judge": {fakeaws.Inspector{Unknown: map[string]bool{b: true}, Vulnerable: map[string]map[string]any{a: rated("high")}}, vuln.Gate{}, 1, a},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := fakeaws.New(t, &test.service)
			v, err := New(server.Config(t)).Scan(t.Context(), &test.gate, bill(a, b))
			if err != nil {
				t.Fatal(err)
			}
			if v.Count(vuln.Open) != test.open || len(v.Unjudged) != len(test.service.Unknown) {
				t.Errorf("%+v", v)
			}
			if err := v.Err(); (err != nil) != (test.open > 0) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestTheGateStaysShutWhenTheAnswerIsNone(t *testing.T) {
	t.Parallel()
	const a = "pkg:golang/example.org/a@v1.0.0"
	for name, test := range map[string]struct {
		fault fakeaws.Fault
		want  string
	}{
		"no permission":                {fakeaws.Refuse(http.StatusForbidden, "AccessDeniedException", "no"), "allow the caller inspector-scan:ScanSbom"},
		"throttled":                    {fakeaws.Throttle(), "inspector: "},
		"overloaded":                   {fakeaws.Unavailable(), "503"},
		"the page of a proxy":          {fakeaws.Answer(http.StatusOK, "text/html", "<html>fine</html>"), "text/html"},
		"an empty answer":              {fakeaws.Answer(http.StatusOK, "application/json", ""), "inspector: "},
		"half an answer":               {fakeaws.Truncate(false), "inspector: "},
		"an answer about nothing":      {fakeaws.Answer(http.StatusOK, "application/json", `{"sbom":{"components":[],"vulnerabilities":[]}}`), "has lost the component"},
		"an answer without a document": {fakeaws.Answer(http.StatusOK, "application/json", `{}`), "no bill of materials"},
		"a member twice":               {fakeaws.Answer(http.StatusOK, "application/json", `{"sbom":{"components":[{"bom-ref":"c0"}],"vulnerabilities":[1],"vulnerabilities":[]}}`), "duplicate"},
		"a finding of nothing":         {fakeaws.Answer(http.StatusOK, "application/json", `{"sbom":{"components":[{"bom-ref":"c0"}],"vulnerabilities":[{"id":"CVE-1"}]}}`), "of nothing"},
		"a finding of another":         {fakeaws.Answer(http.StatusOK, "application/json", `{"sbom":{"components":[{"bom-ref":"c0"}],"vulnerabilities":[{"id":"CVE-1","affects":[{"ref":"z"}]}]}}`), "which it does not have"},
		"a redirect":                   {fakeaws.Answer(http.StatusFound, "text/plain", ""), "302"},
		"a lost connection":            {fakeaws.Lose(), "inspector: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := fakeaws.New(t, &fakeaws.Inspector{})
			server.Inject("", test.fault)
			v, err := New(server.Config(t)).Scan(t.Context(), &vuln.Gate{}, bill(a))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%+v, %v, want %q", v, err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), fakeaws.Keys.SecretAccessKey) {
				t.Error("the error holds the secret key")
			}
		})
	}
}

func TestWhatIsNotSent(t *testing.T) {
	t.Parallel()
	service := &fakeaws.Inspector{}
	server := fakeaws.New(t, service)
	many := make([]string, maxComponents+1)
	for i := range many {
		many[i] = "pkg:golang/example.org/a@v1.0.0"
	}
	config := server.Config(t)
	for name, test := range map[string]struct {
		config aws.Config
		bill   []byte
	}{
		"no document":              {config, nil},
		"another specification":    {config, []byte(strings.Replace(string(bill("pkg:golang/a@v1")), "1.5", "1.6", 1))},
		"nothing in it":            {config, bill()},
		"too much in it":           {config, bill(many...)},
		"a member twice":           {config, []byte(`{"bomFormat":"CycloneDX","bomFormat":"CycloneDX","specVersion":"1.5","components":[{}]}`)},
		"without credentials":      {aws.Config{Region: "eu-central-1", BaseEndpoint: config.BaseEndpoint}, bill("pkg:golang/a@v1")},
		"without a region":         {aws.Config{Credentials: config.Credentials, BaseEndpoint: config.BaseEndpoint}, bill("pkg:golang/a@v1")},
		"credentials that are old": {aws.Config{Region: "eu-central-1", BaseEndpoint: config.BaseEndpoint, Credentials: aws.CredentialsProviderFunc(nil)}, []byte("{")},
	} {
		t.Run(name, func(t *testing.T) {
			if v, err := New(test.config).Scan(t.Context(), &vuln.Gate{}, test.bill); err == nil {
				t.Errorf("%+v", v)
			}
		})
	}
	if service.Scans != 0 {
		t.Errorf("%d were sent", service.Scans)
	}
}

func TestABillOfWhichNothingIsKnownIsRefused(t *testing.T) {
	t.Parallel()
	const a = "pkg:golang/example.org/a@v1.0.0"
	server := fakeaws.New(t, &fakeaws.Inspector{Unknown: map[string]bool{a: true}})
	if v, err := New(server.Config(t)).Scan(t.Context(), &vuln.Gate{}, bill(a)); err == nil {
		t.Errorf("%+v", v)
	}
}

func TestTheClockCounts(t *testing.T) {
	t.Parallel()
	server := fakeaws.New(t, &fakeaws.Inspector{})
	c := New(server.Config(t))
	c.now = func() time.Time { return time.Now().Add(-time.Hour) }
	if _, err := c.Scan(t.Context(), &vuln.Gate{}, bill("pkg:golang/a@v1")); err == nil {
		t.Error("an hour's difference is taken")
	}
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"components":[{"bom-ref":"c0","purl":"pkg:golang/a@v1"}],"vulnerabilities":[{"id":"CVE-1","ratings":[{"severity":"high"}],"affects":[{"ref":"c0"}]}]}`))
	sent, err := read(bill("pkg:golang/a@v1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := read(data)
		if err != nil {
			return
		}
		found, _, err := r.findings(sent)
		if err == nil && len(found) < len(r.Vulnerabilities) {
			t.Errorf("%q: %d findings", data, len(found))
		}
	})
}
