package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var siem = filepath.Join(moduleRoot, "docs", "siem")

func TestSigmaRulesAreCurrent(t *testing.T) {
	t.Parallel()
	var want []string
	for _, f := range sigmaFiles(catalog()) {
		want = append(want, f.name)
		have, err := os.ReadFile(filepath.Join(siem, "sigma", f.name))
		if err != nil || !bytes.Equal(have, f.text) {
			t.Errorf("docs/siem/sigma/%s is not what the codes say (%v): run go generate ./cmd/mcpsec", f.name, err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(siem, "sigma"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(want, e.Name()) {
			t.Errorf("docs/siem/sigma/%s is made of no code: delete it", e.Name())
		}
	}
}

var (
	uuid   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	inYAML = regexp.MustCompile(`^( *)(- )?(?:([a-z]+):(?: |$))?('(?:[^']|'')*')?$`)
)

// A sigmaLine is one line of a rule: where it stands, and what it says.
type sigmaLine struct{ path, value string }

// readSigma reads rules in the part of YAML that they are written in: mappings,
// lists, and strings in single quotes. Anything else is an error.
func readSigma(t *testing.T, text []byte) (rules [][]sigmaLine) {
	t.Helper()
	path := make(map[int]string) // by indentation
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "---":
			rules = append(rules, nil)
			continue
		case strings.HasPrefix(line, "#"):
			continue
		}
		m := inYAML.FindStringSubmatch(line)
		if m == nil || len(rules) == 0 || m[3] == "" && (m[2] == "" || m[4] == "") {
			t.Fatalf("%q is not YAML as the rules use it", line)
		}
		depth := len(m[1])
		for d := range path {
			if d >= depth {
				delete(path, d)
			}
		}
		path[depth] = m[3]
		var full []string
		for d := 0; d <= depth; d += 4 {
			full = append(full, path[d])
		}
		if m[4] != "" {
			value := strings.ReplaceAll(m[4][1:len(m[4])-1], "''", "'")
			last := len(rules) - 1
			rules[last] = append(rules[last], sigmaLine{strings.Trim(strings.Join(full, "."), "."), value})
		}
	}
	return rules
}

func TestEveryCodeIsInOneSigmaRule(t *testing.T) {
	t.Parallel()
	rulesOf, ids := make(map[string]int), make(map[string]bool)
	for _, f := range sigmaFiles(catalog()) {
		rules := readSigma(t, f.text)
		if len(rules) == 0 {
			t.Errorf("%s holds no rule", f.name)
		}
		for _, rule := range rules {
			have := make(map[string]string)
			for _, line := range rule {
				have[line.path] = line.value
				if line.path == "detection.selection.code" {
					rulesOf[line.value]++
				}
			}
			for _, field := range []string{"title", "id", "status", "description", "date", "level", "logsource.product", "logsource.service", "detection.condition"} {
				if have[field] == "" {
					t.Errorf("%s: a rule has no %s", f.name, field)
				}
			}
			if id := have["id"]; !uuid.MatchString(id) || ids[id] {
				t.Errorf("%s: the id %q is no UUID of its own", f.name, id)
			}
			ids[have["id"]] = true
			if have["detection.condition"] != "selection" || !slices.Contains(levels, have["level"]) || have["logsource.product"] != "mcpsec" {
				t.Errorf("%s: %v", f.name, have)
			}
			if have["detection.selection.code"] == "" && have["detection.selection.event"] == "" {
				t.Errorf("%s: %s selects everything", f.name, have["title"])
			}
		}
	}
	codes := codeNames(catalog())
	for _, c := range codes {
		if rulesOf[c] != 1 {
			t.Errorf("%s is in %d rules", c, rulesOf[c])
		}
	}
	if len(rulesOf) != len(codes) {
		t.Errorf("the rules have %d codes, the catalog %d", len(rulesOf), len(codes))
	}
	for _, name := range gravest {
		if !slices.Contains(codes, name) {
			t.Errorf("levelOf names %s, which is no code", name)
		}
	}
}

func TestGravityFollowsTheKind(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"attest.definition_mismatch": "critical", "guard.outflanked": "critical", "guard.forged_state": "high",
		"audit.unavailable": "high", "guard.handler_panic": "high", "guard.unknown_tool": "medium",
		"ratelimit.exceeded": "low", "guard.bad_arguments": "low", "guard.probe": "informational",
	} {
		for _, s := range catalog() {
			for _, c := range s.codes {
				if c.Name == name && levelOf(c) != want {
					t.Errorf("%s is %s, want %s", name, levelOf(c), want)
				}
			}
		}
	}
}

// The rules once more with an independent YAML reader.
func TestSigmaRulesAreYAML(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err == nil {
		err = exec.CommandContext(t.Context(), python, "-c", "import yaml").Run()
	}
	if err != nil {
		t.Skip("python3 with yaml not installed: apt install python3-yaml")
	}
	const read = `import sys, json, glob, yaml
print(json.dumps([d for f in sorted(glob.glob(sys.argv[1] + "/*.yml")) for d in yaml.safe_load_all(open(f, encoding="utf-8"))]))`
	out, err := exec.CommandContext(t.Context(), python, "-c", read, filepath.Join(siem, "sigma")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var rules []struct {
		Title     string `json:"title"`
		ID        string `json:"id"`
		Level     string `json:"level"`
		Detection struct {
			Condition string         `json:"condition"`
			Selection map[string]any `json:"selection"`
		} `json:"detection"`
	}
	if err := json.Unmarshal(out, &rules); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range rules {
		if r.Title == "" || r.ID == "" || r.Level == "" || r.Detection.Condition != "selection" || len(r.Detection.Selection) == 0 {
			t.Errorf("%+v", r)
		}
		codes, _ := r.Detection.Selection["code"].([]any)
		n += len(codes)
	}
	if want := len(codeNames(catalog())); n != want {
		t.Errorf("%d codes, want %d", n, want)
	}
}

// A grafanaDashboard is what Grafana needs of a dashboard.
type grafanaDashboard struct {
	Title         string `json:"title"`
	UID           string `json:"uid"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []struct {
			Name string `json:"name"`
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID          int           `json:"id"`
		Title       string        `json:"title"`
		Description string        `json:"description"`
		Datasource  grafanaSource `json:"datasource"`
		GridPos     struct {
			X int `json:"x"`
			Y int `json:"y"`
			W int `json:"w"`
			H int `json:"h"`
		} `json:"gridPos"`
		Targets []struct {
			RefID      string        `json:"refId"`
			Expr       string        `json:"expr"`
			Datasource grafanaSource `json:"datasource"`
		} `json:"targets"`
	} `json:"panels"`
}

type grafanaSource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

func TestGrafanaDashboard(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(siem, "grafana-dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d grafanaDashboard
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 36 || len(d.Panels) == 0 {
		t.Errorf("title %q, uid %q, schema %d, %d panels", d.Title, d.UID, d.SchemaVersion, len(d.Panels))
	}
	variables := []string{"__rate_interval", "__interval", "__range", "__all"}
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	ids, taken := make(map[int]bool), make(map[[2]int]string)
	for _, p := range d.Panels {
		if p.Title == "" || p.Description == "" || p.ID == 0 || ids[p.ID] || len(p.Targets) == 0 {
			t.Errorf("panel %d %q: title, description, an id of its own and a query must be there", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q lies over %q or the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			if target.Expr == "" || target.Datasource != p.Datasource {
				t.Errorf("panel %q: query %s", p.Title, target.RefID)
			}
			for _, v := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(target.Expr+target.Datasource.UID, -1) {
				if !slices.Contains(variables, v[1]) {
					t.Errorf("panel %q uses $%s, which is no variable", p.Title, v[1])
				}
			}
		}
	}
}

// The members of records that the dashboard's log queries read are those that the
// encoder writes.
func TestDashboardReadsMembersThatRecordsHave(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(siem, "grafana-dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	refusal, gap := samples["small"][2].AppendJSON(nil), samples["losses"][0].AppendJSON(nil)
	read := regexp.MustCompile(`\w+=\\"([a-z.]+)\\"[, |]`).FindAllSubmatch(raw, -1)
	if len(read) < 10 {
		t.Fatalf("only %d members are read", len(read))
	}
	known := []string{"refused", "unknown", "gap"} // values that labels are compared with
	for _, m := range read {
		name := string(m[1])
		if slices.Contains(known, name) {
			continue
		}
		var holder map[string]any
		for _, line := range [][]byte{refusal, gap} {
			var record map[string]any
			if err := json.Unmarshal(line, &record); err != nil {
				t.Fatal(err)
			}
			at := record
			parts := strings.Split(name, ".")
			for _, part := range parts[:len(parts)-1] {
				at, _ = at[part].(map[string]any)
			}
			if at[parts[len(parts)-1]] != nil {
				holder = at
			}
		}
		if holder == nil {
			t.Errorf("no record has a member %s", name)
		}
	}
}
