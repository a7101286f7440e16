package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// goodHost is a Linux machine on which every check says ok, once it has a file.
func goodHost() host {
	return host{
		goos: "linux", platform: "go1.26.8 on linux/amd64", uid: 1000,
		now:     time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		sandbox: goodSandbox(), exposure: sandbox.Exposure{StoreBypass: sandbox.SpeculationMitigated, IndirectBranch: sandbox.SpeculationNotAffected, SMT: "off"},
		environ: []string{"PATH=/bin", "HOME=/home/me", "MCPGODEBUG=", "DB_PASSWORD=", "TOKEN_FILE=/run/token"},
		files: fstest.MapFS{
			"proc/sys/kernel/osrelease": file("6.18.44-generic\n"),
		},
	}
}

// goodSandbox is a report of everything in force.
func goodSandbox() *sandbox.Report {
	r := &sandbox.Report{Schema: 1, Tier: sandbox.T3, LandlockABI: 7}
	for _, control := range sandbox.Controls() {
		r.Controls = append(r.Controls, sandbox.Finding{Control: control, Wanted: true, InForce: true, Verified: true, Mechanism: "the kernel"})
	}
	return r
}

// without is a report that lacks a control.
func without(control sandbox.Control) func(*host) {
	return func(h *host) {
		for i := range h.sandbox.Controls {
			if f := &h.sandbox.Controls[i]; f.Control == control {
				f.InForce, f.Verified, f.Detail, f.Remedy = false, false, "refused", "Do something."
			}
		}
		h.sandbox.Tier = sandbox.T2
	}
}

func file(contents string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(contents)} }

func TestGoodHostHasNothingToRemedy(t *testing.T) {
	t.Parallel()
	h := goodHost()
	r := examine(h)
	if !r.OK || r.err() != nil || r.Counts[statusOK] != len(checks)-2 || r.Counts[statusSkip] != 2 {
		t.Errorf("want all ok but the two checks of the audit folder:\n%s", r.text(false))
	}
}

// What makes a host worse, and which check must say so.
func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	change := func(name, contents string) func(*host) {
		return func(h *host) {
			files, _ := h.files.(fstest.MapFS)
			if contents == "" {
				delete(files, name)
				return
			}
			files[name] = file(contents)
		}
	}
	for name, c := range map[string]struct {
		worsen func(*host)
		check  string
		want   status
	}{
		"clock reset to the epoch":        {func(h *host) { h.now = time.Unix(0, 0) }, "clock", statusFail},
		"clock one year behind":           {func(h *host) { h.now = time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC) }, "clock", statusFail},
		"SDK switches set":                {func(h *host) { h.environ = append(h.environ, "MCPGODEBUG=x=1") }, "mcpgodebug", statusFail},
		"root":                            {func(h *host) { h.uid = 0 }, "user", statusWarn},
		"no user ids":                     {func(h *host) { h.uid = -1 }, "user", statusSkip},
		"secret in the environment":       {func(h *host) { h.environ = append(h.environ, "GITHUB_TOKEN=ghp_1") }, "environment", statusWarn},
		"old kernel":                      {change("proc/sys/kernel/osrelease", "5.10.0-30-amd64"), "kernel", statusWarn},
		"older kernel":                    {change("proc/sys/kernel/osrelease", "4.19.0"), "kernel", statusWarn},
		"kernel without a version":        {change("proc/sys/kernel/osrelease", "unknown"), "kernel", statusSkip},
		"no /proc":                        {change("proc/sys/kernel/osrelease", ""), "kernel", statusSkip},
		"no user namespaces":              {without(sandbox.UserNamespace), "sandbox-user-namespace", statusWarn},
		"user namespaces, and what stays": {without(sandbox.UserNamespace), "sandbox-seccomp", statusOK},
		"weaker sandbox":                  {without(sandbox.LandlockFiles), "sandbox", statusWarn},
		"no sandbox":                      {func(h *host) { h.sandbox, h.refusal = nil, errors.New("clone: refused") }, "sandbox", statusWarn},
		"no sandbox, so no control":       {func(h *host) { h.sandbox, h.refusal = nil, errors.New("clone: refused") }, "sandbox-seccomp", statusSkip},
		"control nobody reports":          {func(h *host) { h.sandbox.Controls = nil }, "sandbox-seccomp", statusSkip},
		"hyper-threads for nobody":        {without(sandbox.CoreScheduling), "sandbox-core-scheduling", statusOK},
		"processor that leaks":            {func(h *host) { h.exposure.StoreBypass = sandbox.SpeculationExposed }, "speculation", statusWarn},
		"hyper-threads not kept apart":    {func(h *host) { h.exposure.SMT = "on" }, "speculation", statusWarn},
		"not Linux":                       {func(h *host) { h.goos, h.sandbox = "plan9", nil }, "sandbox", statusSkip},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := goodHost()
			c.worsen(&h)
			r := examine(h)
			for _, f := range r.Checks {
				if (f.Remedy == "") != (f.Status == statusOK) {
					t.Errorf("%s is %s with remedy %q", f.Name, f.Status, f.Remedy)
				}
				if f.Name == c.check && f.Status != c.want {
					t.Errorf("%s is %s, want %s: %s", f.Name, f.Status, c.want, f.Found)
				}
			}
			if r.OK != (c.want != statusFail) || (r.err() == nil) != r.OK {
				t.Errorf("ok is %v, error %v", r.OK, r.err())
			}
		})
	}
}

func TestNamesThatLookLikeSecrets(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"AWS_SECRET_ACCESS_KEY": true, "AWS_ACCESS_KEY_ID": true, "AWS_SESSION_TOKEN": true, "GITHUB_TOKEN": true, "GH_TOKEN_2": true,
		"github_pat": true, "PGPASSWORD": true, "MYSQL_PWD": true, "DB_PASS": true, "OPENAI_API_KEY": true, "openaiApiKey": true,
		"SSH_PRIVATE_KEY": true, "VAULT_TOKEN": true, "DATABASE_URL": true, "SENTRY_DSN": true, "TOKEN": true, "CREDENTIALS": true,
		"PATH": false, "PWD": false, "OLDPWD": false, "HOME": false, "SSH_AUTH_SOCK": false, "KEYBOARD": false, "MAX_TOKENS": false,
		"TOKENIZERS_PARALLELISM": false, "MONKEY": false, "COMPASS": false, "DB_PASSWORD_FILE": false, "": false,
		"GOOGLE_APPLICATION_CREDENTIALS": false, "AWS_WEB_IDENTITY_TOKEN_FILE": false, "AWS_SECRET_ARN": false,
	} {
		if got := looksSecret(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestValuesOfVariablesAreNeverPrinted(t *testing.T) {
	t.Parallel()
	const value = "hunter2-value"
	h := goodHost()
	h.environ = []string{
		"A_TOKEN=" + value, "MCPGODEBUG=" + value, "B_SECRET=x=" + value, "=C:=" + value, "", "NO_VALUE_KEY",
		"C_TOKEN\x1b[2J=" + value, strings.Repeat("X", 1000) + "_TOKEN=" + value,
	}
	for range 50 {
		h.environ = append(h.environ, "D"+strings.Repeat("D", len(h.environ))+"_KEY="+value)
	}
	r := examine(h)
	raw, err := encode(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{r.text(false), r.text(true), string(raw)} {
		if strings.Contains(got, value) {
			t.Errorf("a value is printed:\n%s", got)
		}
		if !strings.Contains(got, "A_TOKEN, B_SECRET") || !strings.Contains(got, "more") || len(got) > 16<<10 {
			t.Errorf("names are missing or without bound:\n%.2000s", got)
		}
	}
	if strings.Contains(r.text(false), "\x1b") {
		t.Error("a name can steer the terminal")
	}
}

func TestNamesOfChecksAreUniqueAndSteady(t *testing.T) {
	t.Parallel()
	here, elsewhere := goodHost(), goodHost()
	elsewhere.goos, elsewhere.sandbox = "windows", nil
	a, b := examine(here), examine(elsewhere)
	seen := make(map[string]bool)
	for i, f := range a.Checks {
		if seen[f.Name] {
			t.Errorf("%s occurs twice", f.Name)
		}
		seen[f.Name] = true
		if b.Checks[i].Name != f.Name {
			t.Errorf("check %d is %s here and %s on Windows", i, f.Name, b.Checks[i].Name)
		}
	}
}

// The members of the JSON form are what the help promises, all of them always there.
func TestDoctorJSONIsWhatItsHelpSays(t *testing.T) {
	t.Parallel()
	raw, err := encode(examine(goodHost()))
	if err != nil {
		t.Fatal(err)
	}
	var top map[string]any
	if err := json.Unmarshal(raw, &top); err != nil {
		t.Fatal(err)
	}
	counts, _ := top["counts"].(map[string]any)
	list, _ := top["checks"].([]any)
	members := func(name string, n, want int, m ...string) {
		if n != want {
			t.Errorf("%s has %d members, want %d", name, n, want)
		}
		for _, member := range m {
			if !strings.Contains(doctorHelp, member) {
				t.Errorf("the help does not name %s", member)
			}
		}
	}
	members("report", len(top), 5, "schema", "ok", "counts", "checks", "sandbox")
	members("counts", len(counts), 4, "ok, warn, fail, skip")
	for _, c := range list {
		f, _ := c.(map[string]any)
		members("check", len(f), 4, "name", "status", "found", "remedy")
	}
}

func TestColoursOnATerminalOnly(t *testing.T) {
	t.Parallel()
	env := func(vars map[string]string) func(string) string {
		return func(name string) string { return vars[name] }
	}
	xterm := env(map[string]string{"TERM": "xterm"})
	if colourful(&bytes.Buffer{}, xterm) {
		t.Error("a buffer is no terminal")
	}
	regular, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer regular.Close()
	if colourful(regular, xterm) {
		t.Error("a file is no terminal")
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo terminal to test with: ", err)
	}
	defer terminal.Close()
	if !colourful(terminal, xterm) {
		t.Error("a terminal shows colours")
	}
	for _, vars := range []map[string]string{{}, {"TERM": "dumb"}, {"TERM": "xterm", "NO_COLOR": "1"}} {
		if colourful(terminal, env(vars)) {
			t.Errorf("colours with %v", vars)
		}
	}
}

func TestColoursDoNotShiftColumns(t *testing.T) {
	t.Parallel()
	r := examine(goodHost())
	plain := r.text(true)
	for _, s := range []status{statusOK, statusWarn, statusFail, statusSkip} {
		plain = strings.ReplaceAll(plain, "\x1b["+s.colour()+"m", "")
	}
	if plain = strings.ReplaceAll(plain, "\x1b[0m", ""); plain != r.text(false) {
		t.Errorf("with colours taken out:\n%s\nwithout:\n%s", plain, r.text(false))
	}
}
