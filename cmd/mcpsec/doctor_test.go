package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// goodHost is a Linux machine on which every check says ok, once it has a file.
func goodHost() host {
	return host{
		goos: "linux", platform: "go1.26.8 on linux/amd64", uid: 1000,
		now:     time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		environ: []string{"PATH=/bin", "HOME=/home/me", "MCPGODEBUG=", "DB_PASSWORD=", "TOKEN_FILE=/run/token"},
		files: fstest.MapFS{
			"proc/sys/kernel/osrelease":         file("6.18.44-generic\n"),
			"proc/sys/user/max_user_namespaces": file("63000\n"),
			"sys/kernel/security/lsm":           file("lockdown,capability,landlock,yama\n"),
			"proc/self/status":                  file("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"),
			"proc/self/mountinfo":               file("30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 none rw\n"),
			"sys/fs/cgroup/cgroup.controllers":  file("cpu memory pids\n"),
		},
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
		"clock reset to the epoch":         {func(h *host) { h.now = time.Unix(0, 0) }, "clock", statusFail},
		"clock one year behind":            {func(h *host) { h.now = time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC) }, "clock", statusFail},
		"SDK switches set":                 {func(h *host) { h.environ = append(h.environ, "MCPGODEBUG=x=1") }, "mcpgodebug", statusFail},
		"root":                             {func(h *host) { h.uid = 0 }, "user", statusWarn},
		"no user ids":                      {func(h *host) { h.uid = -1 }, "user", statusSkip},
		"secret in the environment":        {func(h *host) { h.environ = append(h.environ, "GITHUB_TOKEN=ghp_1") }, "environment", statusWarn},
		"old kernel":                       {change("proc/sys/kernel/osrelease", "5.10.0-30-amd64"), "linux-kernel", statusWarn},
		"older kernel":                     {change("proc/sys/kernel/osrelease", "4.19.0"), "linux-kernel", statusWarn},
		"kernel without a version":         {change("proc/sys/kernel/osrelease", "unknown"), "linux-kernel", statusSkip},
		"no /proc":                         {change("proc/sys/kernel/osrelease", ""), "linux-kernel", statusSkip},
		"no user namespaces":               {change("proc/sys/user/max_user_namespaces", ""), "linux-userns", statusWarn},
		"user namespaces off":              {change("proc/sys/user/max_user_namespaces", "0\n"), "linux-userns", statusWarn},
		"user namespaces off, as Debian":   {change("proc/sys/kernel/unprivileged_userns_clone", "0\n"), "linux-userns", statusWarn},
		"user namespaces held by AppArmor": {change("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n"), "linux-userns", statusWarn},
		"AppArmor lets them":               {change("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0\n"), "linux-userns", statusOK},
		"Landlock not active":              {change("sys/kernel/security/lsm", "capability,notlandlock"), "linux-landlock", statusWarn},
		"securityfs not mounted":           {change("sys/kernel/security/lsm", ""), "linux-landlock", statusSkip},
		"no seccomp":                       {change("proc/self/status", "Name:\tx\n"), "linux-seccomp", statusWarn},
		"no status":                        {change("proc/self/status", ""), "linux-seccomp", statusSkip},
		"cgroup v1 only":                   {change("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup/pids rw - cgroup none rw,pids\n"), "linux-cgroup2", statusWarn},
		"cgroup2 named in another field":   {change("proc/self/mountinfo", "31 23 0:28 / /cgroup2 rw - tmpfs cgroup2 rw\n"), "linux-cgroup2", statusWarn},
		"cgroup v2 without controllers":    {change("sys/fs/cgroup/cgroup.controllers", "hugetlb\n"), "linux-cgroup2", statusWarn},
		"cgroup v2 somewhere else":         {change("proc/self/mountinfo", "31 23 0:28 / /mnt/c rw - cgroup2 none rw\n"), "linux-cgroup2", statusOK},
		"truncated mountinfo":              {change("proc/self/mountinfo", "31 - cgroup2 "), "linux-cgroup2", statusWarn},
		"no mountinfo":                     {change("proc/self/mountinfo", ""), "linux-cgroup2", statusSkip},
		"not Linux":                        {func(h *host) { h.goos = "plan9" }, "linux-landlock", statusSkip},
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
		if !strings.Contains(got, "A_TOKEN, B_SECRET") || !strings.Contains(got, "more") || len(got) > 8<<10 {
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
	elsewhere.goos = "windows"
	a, b := examine(here), examine(elsewhere)
	seen := make(map[string]bool)
	for i, f := range a.Checks {
		if seen[f.Name] {
			t.Errorf("%s occurs twice", f.Name)
		}
		seen[f.Name] = true
		if b.Checks[i].Name != f.Name || b.Checks[i].NotUsedYet != f.NotUsedYet {
			t.Errorf("check %d is %s here and %s on Windows", i, f.Name, b.Checks[i].Name)
		}
		if strings.HasPrefix(f.Name, "linux-") != f.NotUsedYet {
			t.Errorf("%s: notUsedYet is %v", f.Name, f.NotUsedYet)
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
	members("report", len(top), 4, "schema", "ok", "counts", "checks")
	members("counts", len(counts), 4, "ok, warn, fail, skip")
	for _, c := range list {
		f, _ := c.(map[string]any)
		members("check", len(f), 5, "name", "status", "found", "remedy", "notUsedYet")
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
