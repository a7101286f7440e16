package aws

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A backend is a place with STS and S3, in which the bucket "bucket" has the objects
// "logs/a", "logs/b" and "data/a", each with its own name as content. With every role,
// all of S3 is allowed, so that what is refused is refused by the session policy.
type backend struct {
	url, region string
	base        func() *Base
	issuer      *fakeaws.Issuer
}

var objects = []string{"logs/a", "logs/b", "data/a"}

func fakeBackend(t *testing.T) backend {
	t.Helper()
	c := newCloud(t)
	for _, key := range objects {
		c.s3.Objects["bucket/"+key] = key
	}
	return backend{c.URL, fakeaws.Region, chained, c.issuer(t)}
}

// launch starts a server and waits until it answers.
func launch(t *testing.T, cmd *exec.Cmd, ready string) {
	t.Helper()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: stay, Timeout: time.Minute}
	if !waitFor(func() bool {
		resp, err := client.Get(ready)
		if err != nil {
			<-time.After(10 * time.Millisecond)
			return false
		}
		resp.Body.Close()
		return resp.StatusCode < 500
	}) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("%s does not start: %s", cmd.Path, log.String())
	}
}

func minioBackend(t *testing.T) backend {
	t.Helper()
	program := oracle.Path(t, "minio")
	issuer := fakeaws.NewIssuer(t, audience)
	addr := "127.0.0.1:" + oracle.Port(t)
	cmd := exec.Command(program, "server", "--quiet", "--address", addr, t.TempDir())
	root := awssdk.Credentials{AccessKeyID: "MINIOROOTMINIOROOT00", SecretAccessKey: "minio-root-secret-of-this-test"}
	cmd.Env = []string{
		"HOME=" + t.TempDir(), "MINIO_ROOT_USER=" + root.AccessKeyID, "MINIO_ROOT_PASSWORD=" + root.SecretAccessKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off",
		"MINIO_IDENTITY_OPENID_CONFIG_URL=" + issuer.URL + "/.well-known/openid-configuration",
		"MINIO_IDENTITY_OPENID_CLIENT_ID=" + audience, "MINIO_IDENTITY_OPENID_CLAIM_NAME=policy",
	}
	b := backend{url: "http://" + addr, region: "us-east-1", issuer: issuer}
	launch(t, cmd, b.url+"/minio/health/live")
	b.base = func() *Base { return Keys(root.AccessKeyID, secretOf(root.SecretAccessKey)) }
	for _, path := range append([]string{""}, objects...) {
		status, answer := 0, ""
		if !waitFor(func() bool { // it answers before it is ready
			status, answer = b.object(t.Context(), root, http.MethodPut, path, path)
			return status != 503
		}) || status != 200 {
			t.Fatalf("%s: %d %s", path, status, answer)
		}
	}
	return b
}

// object makes a request to S3, signed by the SDK's signer.
func (b backend) object(ctx context.Context, keys awssdk.Credentials, method, key, body string) (int, string) {
	path := "/bucket"
	if key != "" {
		path += "/" + key
	}
	req, err := http.NewRequestWithContext(ctx, method, b.url+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	if err := v4.NewSigner().SignHTTP(ctx, keys, req, hash, "s3", b.region, time.Now(), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }); err != nil {
		return 0, err.Error()
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// call runs a tool that makes one request with its own credential.
func (b backend) call(t *testing.T, in *creds.Injector, tool, args, method, key string) (status int, answer string, err error) {
	t.Helper()
	h := in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		config, err := Config(ctx)
		if err != nil {
			return nil, err
		}
		keys, err := config.Credentials.Retrieve(ctx)
		if err != nil {
			return nil, err
		}
		status, answer = b.object(ctx, keys, method, key, "new")
		return &mcp.CallToolResult{}, nil
	})
	_, err = h(t.Context(), &mcpsec.Call{ID: "1", Method: "tools/call", Name: tool, Tool: &mcpsec.Tool{Name: tool}, Principal: alice(), Arguments: []byte(args)})
	return status, answer, err
}

// cases 12 and 15, for real: what the session policy allows works, and all else is
// denied, for each of two tools with one role.
func contract(t *testing.T, b backend, grant func(opts ...Option) creds.Grant) {
	t.Helper()
	place := []Option{Region(b.region), Endpoint(b.url)}
	in := creds.New(
		creds.ForTool("logs", grant(append(place, SessionPolicy(readLogs))...)),
		creds.ForTool("data", grant(append(place, SessionPolicy(one("arn:aws:s3:::bucket/{{arg.folder | one-of data other}}/{{arg.key | segment 20}}")))...)),
		creds.ForTool("list", grant(append(place, SessionPolicy(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket"}, {"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"},
			{"Effect":"Deny","Action":"s3:PutObject","Resource":"*"}]}`), AllowWildcardActions())...)),
	)
	if err := in.Check(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	const logs, data, list = "?list-type=2&prefix=logs%2F", "?list-type=2&prefix=data%2F", "?list-type=2&prefix="
	for _, tc := range []struct {
		tool, args, method, key string
		want                    int // 0: refused before
	}{
		{"logs", `{}`, "GET", "logs/a", 200},
		{"logs", `{"prefix":"*"}`, "GET", "logs/b", 200},
		{"logs", `{}`, "GET", "data/a", 403},
		{"logs", `{}`, "PUT", "logs/c", 403},
		{"logs", `{}`, "PUT", "data/c", 403},
		{"logs", `{}`, "GET", logs, 403},
		{"data", `{"folder":"data","key":"a"}`, "GET", "data/a", 200},
		{"data", `{"folder":"data","key":"b"}`, "GET", "data/a", 403},
		{"data", `{"folder":"data","key":"a"}`, "GET", "logs/a", 403},
		{"data", `{"folder":"data","key":"a"}`, "PUT", "data/a", 403},
		{"data", `{"folder":"data","key":"a"}`, "GET", data, 403},
		{"data", `{"folder":"data","key":"*"}`, "GET", "data/a", 0},
		{"data", `{"folder":"*","key":"a"}`, "GET", "data/a", 0},
		{"data", `{"folder":"logs","key":"a"}`, "GET", "logs/a", 0},
		{"data", `{"folder":"data","key":"\"},{\"Effect\":\"Allow\""}`, "GET", "logs/a", 0},
		{"data", `{"folder":"data","key":"${aws:username}"}`, "GET", "data/a", 0},
		{"data", `{}`, "GET", "data/a", 0},
		{"list", `{}`, "GET", list, 200},
		{"list", `{}`, "GET", "data/a", 200},
		{"list", `{}`, "PUT", "data/c", 403},
	} {
		status, answer, err := b.call(t, in, tc.tool, tc.args, tc.method, tc.key)
		name := fmt.Sprint(tc.tool, " ", tc.args, " ", tc.method, " ", tc.key)
		switch {
		case tc.want == 0:
			if err == nil || !refusedArgument(err) {
				t.Errorf("%s: %d, %v", name, status, err)
			}
		case err != nil || status != tc.want || status == 403 && !strings.Contains(answer, "AccessDenied"):
			t.Errorf("%s: %d %s, %v", name, status, answer, err)
		case status == 200 && !strings.HasPrefix(tc.key, "?") && answer != tc.key:
			t.Errorf("%s: got %q", name, answer)
		}
	}
	if _, _, err := b.call(t, in, "other", `{}`, "GET", "logs/a"); mcpsec.AsDenial(err) == nil || mcpsec.AsDenial(err).Code != "creds.not_bound" {
		t.Errorf("a tool without binding: %v", err)
	}
}

// refusedArgument reports whether a refusal of an argument is in the chain.
func refusedArgument(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if d, ok := err.(*mcpsec.Denial); ok && d.Code == "creds.aws_argument" { //nolint:errorlint // each of the chain is looked at
			return true
		}
	}
	return false
}

func TestContract(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) backend{"fakeaws": fakeBackend, "minio": minioBackend} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			t.Run("AssumeRole", func(t *testing.T) {
				contract(t, b, func(opts ...Option) creds.Grant { return AssumeRole(readerARN, append(opts, Using(b.base()))...) })
			})
			t.Run("AssumeRoleWithWebIdentity", func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "token")
				write := func(claims map[string]any, at time.Time) {
					claims["sub"], claims["policy"] = "workload", "readwrite"
					if err := os.WriteFile(file, []byte(b.issuer.Token(t, at, claims)), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				write(map[string]any{"aud": audience}, time.Now())
				contract(t, b, func(opts ...Option) creds.Grant {
					return AssumeRoleWithWebIdentity(readerARN, file, audience, opts...)
				})
				// A token that only its end is wrong of, and which is sent nevertheless.
				stale := webRole(t, file, Region(b.region), Endpoint(b.url))
				stale.now = func() time.Time { return time.Now().Add(-4 * time.Minute) }
				write(map[string]any{"aud": audience, "exp": time.Now().Add(-2 * time.Minute).Unix()}, time.Now().Add(-time.Hour))
				if _, err := issue(t, stale); err == nil || strings.Contains(err.Error(), "holds a token") {
					t.Errorf("expired by the clock of the server: %v", err)
				}
			})
		})
	}
}

// Every policy that is accepted here, an independent implementation of IAM accepts too:
// it goes on to the role, which nobody has.
func TestPoliciesAgreeWithVersitygw(t *testing.T) {
	t.Parallel()
	program := oracle.Path(t, "versitygw")
	addr := "127.0.0.1:" + oracle.Port(t)
	cmd := exec.Command(program, "--access", "ROOTROOTROOT", "--secret", "root-secret-of-this-test", "--port", addr, "--region", "eu-central-1", "--quiet", "iam", "--dir", t.TempDir())
	cmd.Env = []string{"HOME=" + t.TempDir()}
	launch(t, cmd, "http://"+addr+"/")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(fakeaws.NewIssuer(t, audience).Token(t, time.Now(), map[string]any{"sub": "x", "aud": audience})), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, policy := range []string{
		readLogs, one("arn:aws:s3:::b/" + strings.Repeat("x", 1900)), one("arn:aws:s3:::b/{{arg.k | segment 1900}}"), one("arn:aws:s3:::b/${aws:PrincipalTag/identity}/*"), one("arn:aws:s3:::b/é\"\\\n\u007f"),
		`{"Version":"2012-10-17","Id":"i","Statement":[{"Sid":"s","Effect":"Allow","Action":["s3:Get*","s3:ListBucket"],"Resource":["arn:aws:s3:::a/b","arn:aws:s3:::c"],
			"Condition":{"StringLike":{"aws:PrincipalTag/x":["{{principal.identity}}","y"]},"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}},{"Effect":"Deny","NotAction":"s3:Get*","NotResource":"arn:aws:s3:::a/*"}]}`,
	} {
		r := newRole(readerARN, &tokenFileOf{file, audience}, []Option{Region("eu-central-1"), Endpoint("http://" + addr), SessionPolicy(policy)})
		if err := r.Check(creds.Spec{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		// Policies are judged before the role, which does not exist there.
		if _, err := r.Probe(t.Context(), creds.Spec{}); err == nil || !strings.Contains(err.Error(), "AccessDenied (the trust policy of the role must allow sts:AssumeRoleWithWebIdentity") {
			t.Errorf("%s: %v", policy, err)
		}
		r.policy = &template{pieces: []piece{{text: strings.Replace(readLogs, "Allow", "allow", 1)}}}
		if _, err := r.Probe(t.Context(), creds.Spec{}); err == nil || !strings.Contains(err.Error(), "MalformedPolicyDocument") {
			t.Errorf("a bad one: %v", err)
		}
	}
}

// The way without any text of a call: the caller is a tag, and one policy is for all.
func TestAttributes(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	bob := alice()
	bob.Subject = "bob"
	own := map[string]string{}
	for name, p := range map[string]mcpsec.Principal{"alice": alice(), "bob": bob} {
		id, err := Identity.value(p)
		if err != nil {
			t.Fatal(err)
		}
		own[name] = id + "/note"
		c.s3.Objects["bucket/"+own[name]] = own[name]
	}
	b := backend{url: c.URL, region: fakeaws.Region}
	in := c.injector(t, AssumeRole(readerARN, Using(chained()), Region(b.region), Endpoint(b.url), SharedSession(),
		PrincipalTag("identity", Identity), SessionPolicy(one("arn:aws:s3:::bucket/${aws:PrincipalTag/identity}/*"))))
	for _, tc := range []struct {
		who  mcpsec.Principal
		key  string
		want int
	}{{alice(), own["alice"], 200}, {alice(), own["bob"], 403}, {bob, own["bob"], 200}, {bob, own["alice"], 403}} {
		var status int
		err := run(t.Context(), in, tc.who, `{}`, func(ctx context.Context) error {
			config, err := Config(ctx)
			if err != nil {
				return err
			}
			keys, err := config.Credentials.Retrieve(ctx)
			status, _ = b.object(ctx, keys, "GET", tc.key, "")
			return err
		})
		if err != nil || status != tc.want {
			t.Errorf("%s asks for %s: %d, %v", tc.who.Subject, tc.key, status, err)
		}
	}
	if err := run(t.Context(), in, mcpsec.Principal{}, `{}`, func(ctx context.Context) error { _, err := Config(ctx); return err }); err == nil {
		t.Error("an anonymous caller has an identity")
	}
}
