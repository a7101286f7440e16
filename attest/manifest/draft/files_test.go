package draft

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(content), 0o700)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := write(t, dir, "server", "\x7fELF")
	python := write(t, dir, "python3.12", "\x7fELF")
	script := write(t, dir, "app/server.py", "#!"+python+" -u\nprint()")
	viaEnv := write(t, dir, "app/env.py", "#!/usr/bin/env -S A=b "+python+"\nprint()")
	bad := write(t, dir, "app/bad", "#!  \nprint()")
	gone := write(t, dir, "app/gone", "#!"+dir+"/nothing\n")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(program, link); err != nil {
		t.Skip("reason: this system makes no links:", err)
	}
	for name, c := range map[string]struct {
		command []string
		want    Program
		why     string
	}{
		"a program":                          {[]string{program, script}, Program{Path: program}, ""},
		"neg 52: a link to a program":        {[]string{link}, Program{Path: program}, ""},
		"a script with #!":                   {[]string{script}, Program{Path: python, Script: script}, ""},
		"a script through env":               {[]string{viaEnv}, Program{Path: python, Script: viaEnv}, ""},
		"an interpreter and a script":        {[]string{python, "-u", script, program}, Program{Path: python, Script: script}, ""},
		"an interpreter and a module":        {[]string{python, "-m", "server"}, Program{Path: python, Bare: true}, ""},
		"code, and a file for it":            {[]string{python, "-uc", "import os", script}, Program{Path: python, Script: script, Bare: true}, ""},
		"a module, and a file for it":        {[]string{python, "-m", "server", script}, Program{Path: python, Script: script, Bare: true}, ""},
		"a file before the script":           {[]string{python, "--require=" + dir, script}, Program{Path: python, Script: script, Bare: true}, ""},
		"an interpreter and a folder":        {[]string{python, dir}, Program{Path: python, Bare: true}, ""},
		"a #! line without an interpreter":   {[]string{bad}, Program{}, "names no interpreter"},
		"a #! line of one that is not there": {[]string{gone}, Program{}, "looking for the program"},
		"nothing":                            {[]string{dir + "/nothing"}, Program{}, "looking for the program"},
		"neg 53: a folder":                   {[]string{dir}, Program{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Find(c.command[0], c.command[1:]...)
			if c.want == (Program{}) {
				if err == nil || !strings.Contains(err.Error(), c.why) {
					t.Errorf("%+v, %v, want %q", got, err, c.why)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("%+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestExecutable(t *testing.T) {
	t.Parallel()
	e, err := Executable(t.Context(), "linux/amd64", self(t))
	if err != nil || e.GoBuild == nil || e.GoBuild.GoVersion == "" {
		t.Errorf("%+v, %v", e, err)
	}
	plain := write(t, t.TempDir(), "server", "abc")
	e, err = Executable(t.Context(), "linux/amd64", plain)
	if err != nil || e.GoBuild != nil || e.Size != 3 || e.SHA256 != digest("abc") {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := Executable(t.Context(), "linux/amd64", t.TempDir()); err == nil {
		t.Error("neg 53: a folder is a program")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Executable(ended, "linux/amd64", plain); !errors.Is(err, context.Canceled) {
		t.Errorf("neg 62: %v", err)
	}
}

func TestParseArtifact(t *testing.T) {
	t.Parallel()
	a, err := ParseArtifact("rules=a/b=c.txt:snapshot:prompt:read,write")
	if err != nil || a.Name != "rules" || a.Path != "a/b=c.txt" || a.Bind != manifest.Snapshot || a.Role != "prompt" || strings.Join(a.Tools, " ") != "read write" {
		t.Errorf("%+v, %v", a, err)
	}
	for _, spec := range []string{"", "rules", "rules=a.txt", "rules=a.txt:snapshot", "=a.txt:snapshot:prompt", "rules=:snapshot:prompt", "rules=a.txt:glance:prompt", "rules=a.txt:watch:", "rules=a.txt:watch:x:", "rules=a.txt:watch:x:t:u", `rules=C:\a.txt:watch:x`} {
		if a, err := ParseArtifact(spec); err == nil {
			t.Errorf("%s: %+v", spec, a)
		}
	}
}

func TestArtifacts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "app/rules.txt", "be kind")
	outside := write(t, dir, "secret", "x")
	m := &manifest.Manifest{Tools: []manifest.Tool{{Name: "read"}}}
	rules := Artifact{manifest.Artifact{Name: "rules", Role: "prompt", Path: "rules.txt", Bind: manifest.Snapshot}, []string{"read"}}
	root := filepath.Join(dir, "app")
	if err := Add(t.Context(), m, root, rules); err != nil {
		t.Fatal(err)
	}
	if a := m.Artifacts[0]; a.Size != 7 || a.SHA256 != digest("be kind") || strings.Join(m.Tools[0].Artifacts, "") != "rules" {
		t.Errorf("%+v", m)
	}
	if err := Changed(t.Context(), m, root); err != nil {
		t.Error(err)
	}
	write(t, dir, "app/rules.txt", "be evil")
	if err := Changed(t.Context(), m, root); err == nil || !strings.Contains(err.Error(), `the artifact "rules" changed`) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(filepath.Join(root, "rules.txt")); err != nil {
		t.Fatal(err)
	}
	if err := Changed(t.Context(), m, root); err == nil {
		t.Error("a file that is gone has not changed")
	}
	if err := os.Symlink(outside, filepath.Join(root, "rules.txt")); err == nil {
		if err := Add(t.Context(), m, root, rules); err == nil {
			t.Error("neg 52: a link was followed")
		}
	}
	rules.Path = "../secret"
	if err := Add(t.Context(), m, root, rules); err == nil {
		t.Error("neg 53: a path that leaves the folder")
	}
	if _, err := Script(root, outside); err == nil || !strings.Contains(err.Error(), "--dir") {
		t.Errorf("%v", err)
	}
	s, err := Script(dir, write(t, dir, "app/server.py", ""))
	if err != nil || s.Path != "app/server.py" || s.Bind != manifest.Watch || s.Role != "script" {
		t.Errorf("%+v, %v", s, err)
	}
}
