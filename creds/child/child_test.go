package child

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// onLinux skips what needs /proc.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("reason: there is no /proc to look at: run it on Linux")
	}
}

func TestPipe(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"text":                    canary,
		"all bytes JSON escapes":  "\x00\x01\"\\\n\u2028<>&" + canary,
		"no UTF-8":                "\xff\xfe" + canary,
		"64 KiB of what it knows": strings.Repeat("\x01", 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			must(t, inCall(t.Context(), t, func(ctx context.Context) error {
				cmd := command(t, "receive")
				cmd.Env = append(cmd.Env, "CREDENTIAL_FD={fd:db}")
				d := talk(ctx, t, cmd, Pipe("db"))
				got := d.read(t)
				if want := digest([]byte(text)) + " v7 "; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "Z eu-central-1\n") {
					t.Errorf("%q, not %q", got, want)
				}
				return d.end()
			}, secret("db", text)))
		})
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	must(t, inCall(t.Context(), t, func(ctx context.Context) error {
		cmd := command(t, "raw", "/dev/fd/{fd:db}")
		var out bytes.Buffer
		cmd.Stdout = &out
		err := Run(ctx, cmd, Pipe("other"), Raw("db"))
		if err == nil || !strings.Contains(err.Error(), "{fd:other}") {
			t.Errorf("a credential that nothing tells the child of: %v", err)
		}
		cmd = command(t, "raw", "/dev/fd/{fd:db}")
		cmd.Env = append(cmd.Env, "OTHER={fd:other}")
		cmd.Stdout = &out
		must(t, Run(ctx, cmd, Pipe("other"), Raw("db")))
		if out.String() != digest([]byte(canary))+"\n" {
			t.Errorf("%q", out.String())
		}
		return nil
	}, secret("db", canary), secret("other", canary+"2")))
}

// A child that reads nothing holds nobody.
func TestPipeThatNobodyReads(t *testing.T) {
	t.Parallel()
	must(t, inCall(t.Context(), t, func(ctx context.Context) error {
		cmd := command(t, "environ", "{fd:db}")
		return Run(ctx, cmd, Raw("db"))
	}, secret("db", strings.Repeat(canary, 1<<14))))
}

// Nor does a descendant that holds the pipe and does not read it.
func TestPipeThatADescendantHolds(t *testing.T) {
	t.Parallel()
	must(t, inCall(t.Context(), t, func(ctx context.Context) error {
		d := talk(ctx, t, command(t, "leave", "{fd:db}"), Raw("db"))
		must(t, <-d.done)
		return d.in.Close() // now the descendant ends
	}, secret("db", strings.Repeat(canary, 1<<14))))
}

// Case 23: what the server has in its environment, the child has not.
func TestEnvironmentIsBuiltFromNothing(t *testing.T) {
	t.Setenv("CHILD_TEST_INHERITED", canary)
	t.Setenv("AWS_PROFILE", "of-the-host")
	r := &roles{}
	must(t, inCall(t.Context(), t, func(ctx context.Context) error {
		var out bytes.Buffer
		cmd := command(t, "environ")
		cmd.Stdout = &out
		must(t, Run(ctx, cmd, AWS("aws")))
		var names []string
		for line := range strings.Lines(out.String()) {
			name, _, _ := strings.Cut(line, "=")
			names = append(names, name)
		}
		want := "CHILD_TEST_HELPER AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE BOTO_CONFIG AWS_EC2_METADATA_DISABLED AWS_REGION AWS_DEFAULT_REGION"
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s\nnot %s", got, want)
		}
		if strings.Contains(out.String(), canary) {
			t.Error("a secret in the environment")
		}

		out.Reset()
		empty := exec.Command("env", "FD={fd:db}") // whose Env is nil, and all the same none
		empty.Stdout = &out
		must(t, Run(ctx, empty, Raw("db")))
		if out.String() != "FD=3\n" {
			t.Errorf("%q", out.String())
		}
		return nil
	}, creds.Named("aws", r), secret("db", canary)))
}

// A child with a real SDK gets credentials, and gets others later.
func TestSDKRefreshes(t *testing.T) {
	t.Parallel()
	for _, helper := range []string{"sdk", "parent"} {
		t.Run(helper, func(t *testing.T) {
			t.Parallel()
			if helper == "parent" {
				onLinux(t)
			}
			r := &roles{}
			must(t, inCall(t.Context(), t, func(ctx context.Context) error {
				h, err := creds.From(ctx)
				must(t, err)
				d := talk(ctx, t, command(t, helper), AWS("aws"))
				if got := d.read(t); got != r.line(1) {
					t.Errorf("%q, not %q", got, r.line(1))
				}
				d.say(t, "")
				if got := d.read(t); got != r.line(1) { // still good
					t.Errorf("%q, not %q", got, r.line(1))
				}
				m, err := h.Get(ctx, "aws")
				must(t, err)
				must(t, h.Report(m.Secret, errDown)) // the service does not take it any more
				d.say(t, "")
				if got := d.read(t); got != r.line(2) {
					t.Errorf("%q, not %q", got, r.line(2))
				}
				return d.end()
			}, creds.Named("aws", r)))
		})
	}
}

// The command line of AWS is another program, in Python, with another order of sources.
func TestPython(t *testing.T) {
	t.Parallel()
	onLinux(t)
	python, err := exec.LookPath("python3")
	if err == nil {
		err = exec.Command(python, "-c", "import botocore.session").Run()
	}
	if err != nil {
		t.Skip("reason: botocore is not installed: apt install python3-botocore")
	}
	home := t.TempDir()
	must(t, os.Mkdir(filepath.Join(home, ".aws"), 0o700))
	must(t, os.WriteFile(filepath.Join(home, ".aws", "credentials"), []byte("[default]\naws_access_key_id = ASIAOFTHEHOST\naws_secret_access_key = x\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(home, ".boto"), []byte("[Credentials]\naws_access_key_id = AKIAOFTHEHOST\naws_secret_access_key = x\n"), 0o600))
	r := &roles{}
	must(t, inCall(t.Context(), t, func(ctx context.Context) error {
		const program = "import botocore.session as b\nc=b.get_session().get_credentials().get_frozen_credentials()\nprint(c.access_key, len(c.secret_key), len(c.token))"
		cmd := exec.Command(python, "-c", program)
		cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
		var out, log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &log
		if err := Run(ctx, cmd, AWS("aws")); err != nil {
			t.Fatalf("%v: %s", err, log.String())
		}
		if want := fmt.Sprintln(r.id(1), len(r.key(1)), len(r.token(1))); out.String() != want {
			t.Errorf("%q, not %q", out.String(), want)
		}
		return nil
	}, creds.Named("aws", r)))
}

// Case 23: while the child runs, the canary is in no environment and no command line.
func TestNoSecretInProc(t *testing.T) {
	t.Parallel()
	onLinux(t)
	r := &roles{}
	must(t, inCall(t.Context(), t, func(ctx context.Context) error {
		cmd := command(t, "sdk")
		withPipe := command(t, "receive", "some", "arguments")
		withPipe.Env = append(withPipe.Env, "CREDENTIAL_FD={fd:db}")
		one, two := talk(ctx, t, cmd, AWS("aws")), talk(ctx, t, withPipe, Pipe("db"))
		one.read(t)
		two.read(t) // both have their credentials, and wait
		token, err := os.ReadFile(fmt.Sprintf("/proc/%d/fd/3", cmd.Process.Pid))
		must(t, err)
		if len(token) < 32 {
			t.Fatalf("a token of %d bytes", len(token))
		}
		seen := map[string]bool{}
		for _, name := range []string{"environ", "cmdline"} {
			files, err := filepath.Glob("/proc/[0-9]*/" + name)
			must(t, err)
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					continue // another's, or over
				}
				seen[file] = true
				if bytes.Contains(text, []byte(canary)) || bytes.Contains(text, token) {
					t.Errorf("a secret in %s", file)
				}
			}
		}
		for _, c := range []*exec.Cmd{cmd, withPipe} {
			if !seen[fmt.Sprintf("/proc/%d/environ", c.Process.Pid)] || !seen[fmt.Sprintf("/proc/%d/cmdline", c.Process.Pid)] {
				t.Error("the children were not looked at")
			}
		}
		return errors.Join(one.end(), two.end())
	}, creds.Named("aws", r), secret("db", canary)))
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	r := &roles{}
	tests := map[string]struct {
		change     func(cmd *exec.Cmd)
		deliveries []Delivery
		want       string
	}{
		"a secret in an argument":    {func(c *exec.Cmd) { c.Args = append(c.Args, "{fd:db}", "--password="+canary) }, []Delivery{Raw("db")}, "an argument has a credential"},
		"a secret in the name":       {func(c *exec.Cmd) { c.Args = []string{canary, "{fd:db}"} }, []Delivery{Raw("db")}, "an argument has a credential"},
		"a secret in the env":        {func(c *exec.Cmd) { c.Env = append(c.Env, "A={fd:db}", "PASSWORD="+canary) }, []Delivery{Raw("db")}, "the environment has a credential"},
		"a key of AWS in the env":    {func(c *exec.Cmd) { c.Env = append(c.Env, "A="+r.key(1)) }, []Delivery{AWS("aws")}, "the environment has a credential"},
		"other keys first":           {func(c *exec.Cmd) { c.Env = append(c.Env, "AWS_ACCESS_KEY_ID=AKIA") }, []Delivery{AWS("aws")}, "AWS_ACCESS_KEY_ID is in cmd.Env"},
		"a profile":                  {func(c *exec.Cmd) { c.Env = append(c.Env, "AWS_PROFILE=admin") }, []Delivery{AWS("aws")}, "AWS_PROFILE"},
		"a file of old":              {func(c *exec.Cmd) { c.Env = append(c.Env, "AWS_CREDENTIAL_FILE=/etc/aws") }, []Delivery{AWS("aws")}, "AWS_CREDENTIAL_FILE"},
		"a file of boto":             {func(c *exec.Cmd) { c.Env = append(c.Env, "BOTO_CONFIG=/etc/boto.cfg") }, []Delivery{AWS("aws")}, "BOTO_CONFIG"},
		"the endpoint twice":         {func(*exec.Cmd) {}, []Delivery{AWS("aws"), AWS("aws")}, "given twice"},
		"a pipe twice":               {func(c *exec.Cmd) { c.Args = append(c.Args, "{fd:db}") }, []Delivery{Raw("db"), Pipe("db")}, "delivered twice"},
		"nothing tells the child":    {func(*exec.Cmd) {}, []Delivery{Pipe("db")}, "write {fd:db}"},
		"no delivery":                {func(*exec.Cmd) {}, nil, "no credential"},
		"a nil delivery":             {func(*exec.Cmd) {}, []Delivery{nil}, "nil"},
		"files of its own":           {func(c *exec.Cmd) { c.ExtraFiles = []*os.File{os.Stdin} }, []Delivery{AWS("aws")}, "ExtraFiles"},
		"no credential of AWS":       {func(*exec.Cmd) {}, []Delivery{AWS("db")}, "none of AWS"},
		"a key that does not end":    {func(*exec.Cmd) {}, []Delivery{AWS("user")}, "does not end"},
		"a credential of another":    {func(*exec.Cmd) {}, []Delivery{AWS("not-bound")}, "creds.not_bound"},
		"a pipe of another":          {func(*exec.Cmd) {}, []Delivery{Pipe("not-bound")}, "creds.not_bound"},
		"a program that is not here": {func(c *exec.Cmd) { c.Path = "/no/such/program" }, []Delivery{AWS("aws")}, "no such file"},
	}
	user := creds.Named("user", creds.Static([]byte(`{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"`+canary+`"}`)))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			must(t, inCall(t.Context(), t, func(ctx context.Context) error {
				cmd := command(t, "environ")
				test.change(cmd)
				err := Run(ctx, cmd, test.deliveries...)
				if err == nil || cmd.Process != nil {
					t.Fatalf("it ran: %v", err)
				}
				said := err.Error()
				if d, ok := errors.AsType[*mcpsec.Denial](err); ok {
					said = d.Code
				}
				if !strings.Contains(said, test.want) || strings.Contains(said, canary) {
					t.Errorf("%q does not say %q", said, test.want)
				}
				return nil
			}, creds.Named("aws", &roles{}), secret("db", canary), user))
		})
	}
	t.Run("outside a call", func(t *testing.T) {
		t.Parallel()
		err := Run(t.Context(), command(t, "environ"), AWS("aws"))
		if d, ok := errors.AsType[*mcpsec.Denial](err); !ok || d.Code != "creds.no_handle" {
			t.Error(err)
		}
	})
	t.Run("a command that was started", func(t *testing.T) {
		t.Parallel()
		must(t, inCall(t.Context(), t, func(ctx context.Context) error {
			cmd := command(t, "environ")
			must(t, cmd.Run())
			if err := Run(ctx, cmd, AWS("aws")); err == nil {
				t.Error("it ran again")
			}
			if err := Run(ctx, nil, AWS("aws")); err == nil {
				t.Error("nil ran")
			}
			return nil
		}, creds.Named("aws", &roles{})))
	})
}

func TestEndpointRefuses(t *testing.T) {
	t.Parallel()
	r := &roles{}
	must(t, inCall(t.Context(), t, func(ctx context.Context) error {
		cmd := command(t, "requests")
		d := talk(ctx, t, cmd, AWS("aws"))
		ask := func(method, host, path, token string) string {
			t.Helper()
			line, err := json.Marshal(map[string]string{"method": method, "host": host, "path": path, "token": token})
			must(t, err)
			d.say(t, string(line))
			return d.read(t)
		}
		good := ask("GET", "", credentialsPath, "")
		if !strings.HasPrefix(good, "200 ") {
			t.Fatal(good)
		}
		no := ask("GET", "", credentialsPath, "none")
		if !strings.HasPrefix(no, "403 ") {
			t.Error(no)
		}
		for name, got := range map[string]string{
			"a wrong token":     ask("GET", "", credentialsPath, "Bearer x"),
			"another host":      ask("GET", "evil.example", credentialsPath, ""),
			"localhost":         ask("GET", "localhost", credentialsPath, ""),
			"another path":      ask("GET", "", "/", ""),
			"a path that leads": ask("GET", "", "//credentials", ""),
			"a query":           ask("GET", "", credentialsPath+"?a=b", ""),
			"another method":    ask("POST", "", credentialsPath, ""),
		} {
			if got != no { // the same, to the byte: nobody learns what was wrong
				t.Errorf("%s: %s", name, got)
			}
		}
		if got := ask("GET", "", credentialsPath, ""); got != good {
			t.Errorf("afterwards: %s", got)
		}

		// The issuer is down, after what there was has been refused.
		h, err := creds.From(ctx)
		must(t, err)
		m, err := h.Get(ctx, "aws")
		must(t, err)
		r.fail(errDown)
		_ = h.Report(m.Secret, errDown)
		if got := ask("GET", "", credentialsPath, ""); !strings.HasPrefix(got, "503 ") {
			t.Error(got)
		}
		return d.end()
	}, creds.Named("aws", r)))
}

// A process that is not the child has no use of its token.
func TestEndpointIsForTheChildAlone(t *testing.T) {
	t.Parallel()
	onLinux(t)
	must(t, inCall(t.Context(), t, func(ctx context.Context) error {
		cmd := command(t, "sdk")
		d := talk(ctx, t, cmd, AWS("aws"))
		d.read(t)                                                                // it has an answer, and lives
		token, err := os.ReadFile(fmt.Sprintf("/proc/%d/fd/3", cmd.Process.Pid)) // stolen
		must(t, err)
		transport := &http.Transport{DisableKeepAlives: true}
		get := func() (*http.Response, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri(cmd), http.NoBody)
			must(t, err)
			req.Header.Set("Authorization", string(token))
			return transport.RoundTrip(req)
		}
		resp, err := get()
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusForbidden || bytes.Contains(body, []byte(canary)) {
			t.Errorf("%d %s", resp.StatusCode, body)
		}

		must(t, d.end())
		if resp, err := get(); err == nil { // and nobody is there when the child has ended
			_ = resp.Body.Close()
			t.Errorf("the endpoint answers after the child: %d", resp.StatusCode)
		}
		return nil
	}, creds.Named("aws", &roles{})))
}

// A handler that left Run behind: the handle is closed, and with it the endpoint.
func TestHandleClosedUnderTheChild(t *testing.T) {
	t.Parallel()
	var d *dialogue
	must(t, inCall(t.Context(), t, func(ctx context.Context) error {
		d = talk(ctx, t, command(t, "requests"), AWS("aws"))
		d.say(t, `{"method":"GET","path":"`+credentialsPath+`"}`)
		if got := d.read(t); !strings.HasPrefix(got, "200 ") {
			t.Error(got)
		}
		return nil
	}, creds.Named("aws", &roles{})))
	d.say(t, `{"method":"GET","path":"`+credentialsPath+`"}`)
	if got := d.read(t); !strings.HasPrefix(got, "403 ") {
		t.Error(got)
	}
	must(t, d.end())
}

func TestKilledWithTheCall(t *testing.T) {
	t.Parallel()
	for _, helper := range []string{"forever", "family"} {
		t.Run(helper, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			must(t, inCall(ctx, t, func(ctx context.Context) error {
				cmd := command(t, helper)
				cmd.WaitDelay = time.Minute // a descendant that was not killed would hold the output
				d := talk(ctx, t, cmd, AWS("aws"))
				d.read(t)
				cancel()
				if err := <-d.done; !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				if rest, err := io.ReadAll(d.out); err != nil || len(rest) > 0 {
					t.Errorf("%q %v", rest, err)
				}
				return nil
			}, creds.Named("aws", &roles{})))
		})
	}
	t.Run("before it starts", func(t *testing.T) {
		t.Parallel()
		must(t, inCall(t.Context(), t, func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			cmd := command(t, "forever")
			if err := Run(ctx, cmd, AWS("aws")); err == nil || cmd.Process != nil {
				t.Error(err)
			}
			return nil
		}, creds.Named("aws", &roles{})))
	})
}

// Whoever holds many connections takes nothing from the server but these.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	s := &server{}
	open := func() (closed bool) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
		s.count(ours, http.StateNew)
		return errors.Is(ours.SetDeadline(time.Now()), io.ErrClosedPipe)
	}
	for i := range maxConnections {
		if open() {
			t.Fatalf("connection %d was refused", i+1)
		}
	}
	if !open() {
		t.Error("one more was not refused")
	}
	s.count(nil, http.StateClosed)
	s.count(nil, http.StateClosed)
	if open() {
		t.Error("there is room again, and it was refused")
	}
}

// uri is where a child fetches its credentials.
func uri(cmd *exec.Cmd) string {
	for _, entry := range cmd.Env {
		if v, ok := strings.CutPrefix(entry, "AWS_CONTAINER_CREDENTIALS_FULL_URI="); ok {
			return v
		}
	}
	return ""
}

func TestDiskFile(t *testing.T) {
	t.Parallel()
	r := &run{}
	path, err := r.diskFile([]byte(canary))
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	text, err := os.ReadFile(path)
	must(t, err)
	if string(text) != canary {
		t.Errorf("%q", text)
	}
	r.clean()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"db","secret":"x","version":"1","expires":"2026-11-22T12:00:00Z","public":{"a":"b"}}`))
	f.Add([]byte(`{"name":"db","secret_base64":"/w=="}`))
	f.Add([]byte(`{"name":"db","secret":"a","secret_base64":"/w=="}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decode(text)
		if (err == nil) == m.Secret.Empty() {
			t.Errorf("%v", err)
		}
	})
}

// What is written is read back the same.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("correct horse"), "v1")
	f.Add([]byte("\xff\x00\"\\"), "")
	f.Fuzz(func(t *testing.T, secret []byte, version string) {
		if len(secret) == 0 || !utf8.ValidString(version) {
			return
		}
		text, err := encode("db", secret, creds.Material{Version: version})
		must(t, err)
		m, err := decode(text)
		must(t, err)
		if !bytes.Equal(m.Secret.Reveal(), secret) || m.Version != version {
			t.Errorf("%q became %q", secret, m.Secret.Reveal())
		}
	})
}
