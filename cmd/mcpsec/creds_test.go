package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

const (
	credsRole   = "arn:aws:iam::" + fakeaws.Account + ":role/notes"
	credsCanary = "hunter2-canary-c11a"
)

// rootWithCreds is the command tree, with creds in it.
func rootWithCreds(a *app) *cobra.Command {
	root := newRoot(a, io.Discard, io.Discard)
	if cmd, _, err := root.Find([]string{"creds"}); err != nil || cmd == root {
		root.AddCommand(newCreds(a))
		a.watch(root)
	}
	return root
}

// runCreds runs mcpsec creds.
func runCreds(ctx context.Context, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	a := &app{}
	root := rootWithCreds(a) //nolint:contextcheck // the command is given ctx
	root.SetOut(&o)
	root.SetErr(&e)
	root.SetArgs(append([]string{"creds"}, args...))
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK, o.String(), e.String()
	}
	f := newFailure(cmd, err, a.running)
	f.report(&e, a.json)
	return f.ExitCode, o.String(), e.String()
}

// A credsCloud is a fake AWS with a role, and a file of bindings that uses it.
type credsCloud struct {
	*fakeaws.Server
	file, secret string
}

func newCredsCloud(t *testing.T) *credsCloud {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("reason: the paths and permissions of this file are those of Unix")
	}
	sts := fakeaws.NewSTS()
	c := &credsCloud{Server: fakeaws.New(t, sts), secret: filepath.Join(t.TempDir(), "secret"), file: filepath.Join(t.TempDir(), "creds.json")}
	sts.Roles[credsRole] = &fakeaws.Role{
		Trust:  `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}]}`,
		Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`,
	}
	c.write(t, c.secret, fakeaws.UserKeys.SecretAccessKey)
	plain := filepath.Join(t.TempDir(), "plain")
	c.write(t, plain, credsCanary)
	c.write(t, c.file, fmt.Sprintf(`{
		"bases": {"user": {"awsKeys": {"id": %q, "secret": {"file": {"path": %q}}}}},
		"tools": {
			"read_note": {
				"aws": {"awsRole": {"base": "user", "role": %q, "region": %q, "endpoint": %q,
					"principalTags": {"who": "identity"}, "tags": {"team": "notes"}, "principalSourceIdentity": true,
					"sessionPolicy": {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject",
						"Resource": "arn:aws:s3:::notes/{{arg.folder | one-of drafts final}}/{{arg.name | segment 64}}"}}}},
				"plain": {"file": {"path": %q}}
			},
			"other": {"plain": {"file": {"path": %q}}}
		}}`, fakeaws.UserKeys.AccessKeyID, c.secret, credsRole, fakeaws.Region, c.URL, plain, plain))
	return c
}

func (*credsCloud) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// noSecret looks for everything that must not be printed.
func noSecret(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, secret := range []string{credsCanary, "hunter2", fakeaws.UserKeys.SecretAccessKey, fakeaws.Keys.SecretAccessKey, "wrong-key"} {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is printed: %s", text)
			}
		}
	}
}

func TestCredsCheckAsksTheServiceAndPrintsNoSecret(t *testing.T) {
	t.Parallel()
	c := newCredsCloud(t)
	code, out, errs := runCreds(t.Context(), "check", c.file)
	if code != exitOK || errs != "" || c.Requests("AssumeRole") != 1 || c.Requests("GetCallerIdentity") != 1 {
		t.Fatalf("exit code %d, %d roles assumed\n%s%s", code, c.Requests("AssumeRole"), out, errs)
	}
	for _, want := range []string{
		"STATUS  TOOL       CREDENTIAL  IDENTITY", "ok      read_note  aws         " + credsRole + "  s3:GetObject on arn:aws:s3:::notes/",
		"skip    other      plain ", "skip    read_note  plain ", "15m", "It has the tag team=notes.", "\n3 credentials: 1 ok, 0 fail, 2 skip\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	code, all, errs := runCreds(t.Context(), "check", c.file, "--json", "--tool", "read_note")
	var r credsReport
	if err := json.Unmarshal([]byte(all), &r); err != nil || code != exitOK || errs != "" {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, all, errs)
	}
	if !r.OK || len(r.Credentials) != 2 || r.Credentials[0].Status != "ok" || r.Credentials[0].Lifetime != "15m" ||
		r.Credentials[0].Policy == nil || len(r.Credentials[0].Rules) != 1 || r.Credentials[0].Took == "" {
		t.Errorf("%+v", r)
	}
	noSecret(t, out, all)
}

func TestCredsCheckFails(t *testing.T) {
	t.Parallel()
	faults := func(replace, by string) func(t *testing.T, c *credsCloud) {
		return func(t *testing.T, c *credsCloud) {
			t.Helper()
			text, err := os.ReadFile(c.file)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), replace, by, 1)
			if changed == string(text) {
				t.Fatalf("%q is not in the file", replace)
			}
			c.write(t, c.file, changed)
		}
	}
	for name, f := range map[string]struct {
		spoil func(t *testing.T, c *credsCloud)
		asked int
		want  []string
	}{
		"wrong secret key":       {func(t *testing.T, c *credsCloud) { t.Helper(); c.write(t, c.secret, "wrong-key") }, 1, []string{"fail    read_note  aws", "SignatureDoesNotMatch (wrong secret key of the base"}},
		"role that is not there": {faults(":role/notes", ":role/nobody"), 1, []string{"fail    read_note  aws", "AccessDenied"}},
		"proxy in between": {func(_ *testing.T, c *credsCloud) {
			c.Inject("AssumeRole", fakeaws.Answer(200, "text/html", "<h1>"+credsCanary+"</h1>"))
		}, 1, []string{"fail    read_note  aws"}},
		"secret that is gone":  {func(t *testing.T, c *credsCloud) { t.Helper(); _ = os.Remove(c.secret) }, 0, []string{"fail  bases.user.awsKeys.secret: stat "}},
		"secret for everybody": {func(t *testing.T, c *credsCloud) { t.Helper(); _ = os.Chmod(c.secret, 0o644) }, 0, []string{"has mode 0644"}},
		"misspelt":             {faults(`"base": "user"`, `"base": "usr"`), 0, []string{`read_note.aws.awsRole.base: "usr" is not under bases`}},
		"no narrowing":         {faults(`"sessionPolicy"`, `"policyArns": [], "unrestricted": true, "sessionPolicy"`), 0, []string{`fail  tool "read_note", credential "aws"`}},
		"no file":              {func(_ *testing.T, c *credsCloud) { c.file += ".gone" }, 0, []string{"no such file"}},
		"misspelt secret":      {faults(`{"file": {"path": "`, `{"file": {"passwort": "`+credsCanary+`", "path": "`), 0, []string{`unknown member "passwort"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCredsCloud(t)
			f.spoil(t, c)
			code, out, errs := runCreds(t.Context(), "check", c.file)
			if code != exitFailed || !strings.HasPrefix(errs, "mcpsec: ") || strings.Count(errs, "\n") != 1 {
				t.Errorf("exit code %d: %s", code, errs)
			}
			for _, want := range f.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
			if got := c.Requests("AssumeRole"); got != f.asked {
				t.Errorf("asked %d times", got)
			}
			_, all, more := runCreds(t.Context(), "check", c.file, "--json")
			var r credsReport
			if err := json.Unmarshal([]byte(all), &r); err != nil || r.OK && name != "proxy in between" {
				t.Errorf("%v, ok %v", err, r.OK)
			}
			noSecret(t, out, errs, all, more)
		})
	}
}

func TestCredsCheckOfflineAsksNobody(t *testing.T) {
	t.Parallel()
	c := newCredsCloud(t)
	code, out, errs := runCreds(t.Context(), "check", c.file, "--offline")
	if code != exitOK || errs != "" || c.Requests("AssumeRole") != 0 || !strings.Contains(out, "depends on the call: mcpsec creds simulate") {
		t.Errorf("exit code %d, %d requests\n%s%s", code, c.Requests("AssumeRole"), out, errs)
	}
	for _, line := range [][]string{{"check", c.file, "--tool", "nothing"}, {"check", c.file, "--timeout", "0s"}, {"check", "a", "b"}, {"simulate", c.file}, {}} {
		if code, _, errs := runCreds(t.Context(), line...); code != exitUsage {
			t.Errorf("%q: exit code %d, %s", line, code, errs)
		}
	}
}

func TestCredsCheckEndsWhenTheServiceHangs(t *testing.T) {
	t.Parallel()
	c := newCredsCloud(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.Inject("AssumeRole", fakeaws.Hang(cancel))
	code, out, _ := runCreds(ctx, "check", c.file)
	if code != exitFailed || !strings.Contains(out, "fail    read_note  aws") || !strings.Contains(out, "skip    read_note  plain") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	noSecret(t, out)
}

func TestCredsSimulate(t *testing.T) {
	t.Parallel()
	c := newCredsCloud(t)
	who := "--principal=issuer=https://idp.example,subject=alice"
	code, out, errs := runCreds(t.Context(), "simulate", c.file, "read_note", `{"folder":"drafts","name":"a.txt"}`, who)
	if code != exitOK || errs != "" || c.Requests("AssumeRole") != 0 {
		t.Fatalf("exit code %d, %d requests\n%s%s", code, c.Requests("AssumeRole"), out, errs)
	}
	for _, want := range []string{
		"tool read_note, caller token \"https://idp.example\" \"alice\"", "\naws\n", `"arn:aws:s3:::notes/drafts/a.txt"`,
		"The session is called ", "Its source identity is ", "It has the tag who=", "\nplain\n  untold ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	code, out, _ = runCreds(t.Context(), "simulate", "--json", c.file, "read_note", `{"folder":"drafts","name":"a.txt"}`, who)
	var s struct {
		OK          bool `json:"ok"`
		Credentials []struct {
			Policy struct {
				Statement json.RawMessage `json:"Statement"`
			} `json:"sessionPolicy"`
		} `json:"credentials"`
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != exitOK || !s.OK || len(s.Credentials) != 2 || s.Credentials[0].Policy.Statement == nil {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
	for name, line := range map[string][]string{
		"star":          {"read_note", `{"folder":"*","name":"a"}`, who},
		"up and out":    {"read_note", `{"folder":"drafts","name":".."}`, who},
		"missing":       {"read_note", `{"folder":"drafts"}`, who},
		"anonymous":     {"read_note", `{"folder":"drafts","name":"a"}`},
		"twice":         {"read_note", `{"folder":"drafts","folder":"final","name":"a"}`, who},
		"unbound tool":  {"nothing", `{}`, who},
		"another quote": {"read_note", `{"folder":"drafts","name":"a\"},{\"Effect\":\"Allow"}`, who},
	} {
		if code, out, errs := runCreds(t.Context(), append([]string{"simulate", c.file}, line...)...); code != exitFailed || errs == "" {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
	}
	for _, line := range [][]string{
		{"read_note", `[]`}, {"read_note", ``}, {"read_note", `{}`, "--principal=sub=alice"}, {"read_note", `{}`, "--principal=subject=alice"},
		{"read_note", `{}`, "--principal=issuer=x"}, {"read_note", `{}`, "--principal=rung=root,subject=x"},
	} {
		if code, _, errs := runCreds(t.Context(), append([]string{"simulate", c.file}, line...)...); code != exitUsage {
			t.Errorf("%q: exit code %d, %s", line, code, errs)
		}
	}
}

func TestCredsSchemaIsJSON(t *testing.T) {
	t.Parallel()
	if code, out, errs := runCreds(t.Context(), "schema"); code != exitOK || !json.Valid([]byte(out)) || errs != "" {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func TestCredsTableFitsEveryWidthAndLosesNothing(t *testing.T) {
	t.Parallel()
	r := &credsReport{Credentials: []credential{
		{Tool: "list_notes", Name: "aws", Status: "ok", may: may{
			Identity: credsRole, Lifetime: "15m", Notes: []string{"It may do no more than the role itself, whatever is listed here."},
			Rules: []credentialRule{{Actions: []string{"s3:GetObject", "s3:ListBucket"}, Resources: []string{"arn:aws:s3:::notes/" + strings.Repeat("x", 200)}}, {Deny: true, Actions: []string{"s3:DeleteObject"}}},
		}},
		{Tool: "ünïcode\x1b[2J", Name: "db", Status: "fail", Why: "the service is sealed\nand more"},
	}}
	letters := func(s string) (n int) { return strings.Count(s, "x") }
	wide := r.text(0, false)
	if strings.Contains(wide, "\x1b") || strings.Contains(wide, "and more\n\n2") {
		t.Errorf("steers the terminal: %q", wide)
	}
	for width := 76; width < 220; width++ {
		text := r.text(width, false)
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
				t.Fatalf("width %d: a line of %d: %s", width, n, line)
			}
		}
		if letters(text) != letters(wide) {
			t.Fatalf("width %d: something is left out\n%s", width, text)
		}
	}
	if r.text(1, true) == "" {
		t.Error("nothing fits a terminal of one column")
	}
}

func TestCredsWidth(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]int{"": 0, "80": 80, "-3": 0, "x": 0} {
		if got := widthOf(&bytes.Buffer{}, func(string) string { return env }); got != want {
			t.Errorf("COLUMNS=%s: %d", env, got)
		}
	}
}

func TestCredsProgressIsRemoved(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	tick, quit, done := make(chan time.Time), make(chan struct{}), make(chan struct{})
	go func() { defer close(done); tell(&b, "asking", tick, quit) }()
	now := time.Now()
	tick <- now
	tick <- now.Add(2 * time.Second)
	close(quit)
	<-done
	if got, want := b.String(), "\rasking, 0 s\rasking, 2 s\r           \r"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	working(&b, "nothing on what is no terminal")()
}
