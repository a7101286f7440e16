package fakeaws

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

const (
	roleARN  = "arn:aws:iam::" + Account + ":role/reader"
	trustAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*","Federated":"*"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity","sts:AssumeRoleWithWebIdentity"]}}`
)

// What AssumeRole refuses, with the errors of the real one.
func TestAssumeRole(t *testing.T) {
	t.Parallel()
	service := NewSTS()
	service.Roles[roleARN] = &Role{Trust: trustAll, MaxDuration: 2 * time.Hour}
	service.Roles[roleARN+"-narrow"] = &Role{Trust: strings.Replace(trustAll, `"Allow",`, `"Allow","Condition":{"StringEquals":{"sts:ExternalId":"right"}},`, 1)}
	service.Roles[roleARN+"-mine"] = &Role{Trust: strings.Replace(trustAll, `"AWS":"*"`, `"AWS":"arn:aws:iam::`+Account+`:user/server"`, 1)}
	s := New(t, service)
	asRole := sts.NewFromConfig(s.Config(t))
	config := s.Config(t)
	config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return UserKeys, nil })
	asUser := sts.NewFromConfig(config)
	long := strings.Repeat("x", 2100)
	for name, tc := range map[string]struct {
		client *sts.Client
		change func(in *sts.AssumeRoleInput)
		want   string
	}{
		"as it should be":     {asRole, func(*sts.AssumeRoleInput) {}, ""},
		"10 seconds":          {asRole, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(10) }, "ValidationError"},
		"chained for 2 hours": {asRole, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(7200) }, "ValidationError"},
		"user for 2 hours":    {asUser, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(7200) }, ""},
		"user for 3 hours":    {asUser, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(10800) }, "ValidationError"},
		"bad session name":    {asRole, func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("a|b") }, "ValidationError"},
		"bad source identity": {asRole, func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("a b") }, "ValidationError"},
		"unknown role":        {asRole, func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String(roleARN + "x") }, "AccessDenied"},
		"no external id":      {asRole, func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String(roleARN + "-narrow") }, "AccessDenied"},
		"external id": {asRole, func(in *sts.AssumeRoleInput) {
			in.RoleArn, in.ExternalId = aws.String(roleARN+"-narrow"), aws.String("right")
		}, ""},
		"not trusted": {asRole, func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String(roleARN + "-mine") }, "AccessDenied"},
		"trusted":     {asUser, func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String(roleARN + "-mine") }, ""},
		"policy too long": {asRole, func(in *sts.AssumeRoleInput) {
			in.Policy = aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + long + `"}}`)
		}, "ValidationError"},
		"policy malformed":     {asRole, func(in *sts.AssumeRoleInput) { in.Policy = aws.String("{}") }, "MalformedPolicyDocument"},
		"policy of no latin 1": {asRole, func(in *sts.AssumeRoleInput) { in.Policy = aws.String("日") }, "ValidationError"},
		"tag of AWS": {asRole, func(in *sts.AssumeRoleInput) {
			in.Tags = []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("y")}}
		}, "InvalidParameterValue"},
		"tag twice": {asRole, func(in *sts.AssumeRoleInput) {
			in.Tags = []types.Tag{{Key: aws.String("a"), Value: aws.String("y")}, {Key: aws.String("A"), Value: aws.String("y")}}
		}, "InvalidParameterValue"},
		"tag too long":       {asRole, func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{{Key: aws.String("a"), Value: aws.String(long)}} }, "ValidationError"},
		"transitive without": {asRole, func(in *sts.AssumeRoleInput) { in.TransitiveTagKeys = []string{"a"} }, "InvalidParameterValue"},
		"unknown managed": {asRole, func(in *sts.AssumeRoleInput) {
			in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/x")}}
		}, "InvalidParameterValue"},
	} {
		in := &sts.AssumeRoleInput{RoleArn: aws.String(roleARN), RoleSessionName: aws.String("session"), DurationSeconds: aws.Int32(900)}
		tc.change(in)
		out, err := tc.client.AssumeRole(t.Context(), in)
		if codeOf(err) != tc.want {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if err != nil {
			continue
		}
		keys := aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
		config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil })
		who, err := sts.NewFromConfig(config).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		if err != nil || *who.Arn != *out.AssumedRoleUser.Arn {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An independent implementation of the same API refuses what this one refuses, with
// the same codes: a disagreement is a fault here.
func TestWebIdentityAgreesWithVersitygw(t *testing.T) {
	t.Parallel()
	program := oracle.Path(t, "versitygw")
	addr := "127.0.0.1:" + oracle.Port(t)
	var log bytes.Buffer
	cmd := exec.Command(program, "--access", "ROOTROOTROOT", "--secret", "root-secret-of-this-test", "--port", addr, "--region", Region, "iam", "--dir", t.TempDir(), "--quiet")
	cmd.Env = []string{"HOME=" + t.TempDir()}
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	service := NewSTS()
	service.Roles[roleARN] = &Role{Trust: trustAll}
	s := New(t, service)
	ask := func(endpoint string, form url.Values) (string, error) {
		stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: stay, Timeout: 10 * time.Second}
		resp, err := client.PostForm(endpoint+"/", form)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return "", err
		}
		var said struct {
			Error struct {
				Code string `xml:"Code"`
			} `xml:"Error"`
		}
		err = xml.Unmarshal(body, &said)
		return said.Error.Code, err
	}
	started := false
	for range 6000 {
		if _, err := ask("http://"+addr, url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}}); err == nil {
			started = true
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	if !started {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("versitygw does not start: %s", log.String())
	}
	foreign := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://idp.example","aud":"x","sub":"y","exp":9999999999}`)) + ".AAAA"
	policy := func(statement string) string { return `{"Version":"2012-10-17","Statement":[` + statement + `]}` }
	good := `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"}`
	for name, tc := range map[string]struct{ key, value, want string }{
		"token of nobody":         {"WebIdentityToken", "aaaa.bbbb.cccc", "InvalidIdentityToken"},
		"token of another issuer": {"WebIdentityToken", foreign, "InvalidIdentityToken"},
		"10 seconds":              {"DurationSeconds", "10", "ValidationError"},
		"13 hours":                {"DurationSeconds", "46800", "ValidationError"},
		"session name":            {"RoleSessionName", "a/b", "ValidationError"},
		"short session name":      {"RoleSessionName", "a", "ValidationError"},
		"long session name":       {"RoleSessionName", strings.Repeat("a", 65), "ValidationError"},
		"role of nothing":         {"RoleArn", "x", "ValidationError"},
		"policy":                  {"Policy", policy(good), "InvalidIdentityToken"},
		"empty policy":            {"Policy", "{}", "MalformedPolicyDocument"},
		"no JSON":                 {"Policy", "{", "MalformedPolicyDocument"},
		"no effect":               {"Policy", policy(`{"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"}`), "MalformedPolicyDocument"},
		"wrong effect":            {"Policy", policy(`{"Effect":"allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"}`), "MalformedPolicyDocument"},
		"no resource":             {"Policy", policy(`{"Effect":"Allow","Action":"s3:GetObject"}`), "MalformedPolicyDocument"},
		"unknown member":          {"Policy", policy(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k","X":1}`), "MalformedPolicyDocument"},
		"principal":               {"Policy", policy(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"}`), "MalformedPolicyDocument"},
		"policy too long":         {"Policy", policy(strings.Replace(good, "/k", "/"+strings.Repeat("k", 2048), 1)), "ValidationError"},
		"policy of no latin 1":    {"Policy", policy(strings.Replace(good, "/k", "/日", 1)), "ValidationError"},
	} {
		form := url.Values{
			"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {roleARN}, "RoleSessionName": {"session"}, "WebIdentityToken": {foreign},
		}
		form.Set(tc.key, tc.value)
		ours, err1 := ask(s.URL, form)
		theirs, err2 := ask("http://"+addr, form)
		if err1 != nil || err2 != nil || ours != tc.want || theirs != tc.want {
			t.Errorf("%s: here %q (%v), versitygw %q (%v), want %q", name, ours, err1, theirs, err2, tc.want)
		}
	}
}
