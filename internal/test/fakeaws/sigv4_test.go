package fakeaws

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// An echo is a service that answers whatever was signed well.
type echo struct{}

func (echo) SigningName() string           { return "echo" }
func (echo) Target() string                { return "Echo_20260101" }
func (echo) Serve(r *Request) (any, error) { return map[string]string{"operation": r.Operation}, nil }

func TestSignaturesThatMustNotPass(t *testing.T) {
	t.Parallel()
	s := New(t, echo{})
	client := s.Config(t).HTTPClient
	now := time.Now()
	issued := aws.Credentials{AccessKeyID: "ASIAISSUED", SecretAccessKey: "s", SessionToken: "t", CanExpire: true, Expires: now.Add(time.Hour)}
	s.Trust(issued)
	expired := aws.Credentials{AccessKeyID: "ASIAEXPIRED", SecretAccessKey: "s", SessionToken: "t", CanExpire: true, Expires: now}
	s.Trust(expired)

	type request struct {
		keys            aws.Credentials
		service, region string
		at              time.Time
		after           func(r *http.Request) // what happens to it on the way
	}
	for name, tc := range map[string]struct {
		change func(r *request)
		code   string // none: it passes
	}{
		"as it should be":     {func(*request) {}, ""},
		"four minutes old":    {func(r *request) { r.at = now.Add(-4 * time.Minute) }, ""},
		"six minutes old":     {func(r *request) { r.at = now.Add(-6 * time.Minute) }, "InvalidSignatureException"},
		"six minutes ahead":   {func(r *request) { r.at = now.Add(6 * time.Minute) }, "InvalidSignatureException"},
		"wrong secret":        {func(r *request) { r.keys.SecretAccessKey += "x" }, "InvalidSignatureException"},
		"wrong key id":        {func(r *request) { r.keys.AccessKeyID = "AKIAOTHER" }, "UnrecognizedClientException"},
		"no session token":    {func(r *request) { r.keys.SessionToken = "" }, "UnrecognizedClientException"},
		"wrong session token": {func(r *request) { r.keys.SessionToken = "other" }, "UnrecognizedClientException"},
		"issued keys":         {func(r *request) { r.keys = issued }, ""},
		"expired keys":        {func(r *request) { r.keys = expired }, "ExpiredTokenException"},
		"other service":       {func(r *request) { r.service = "s3" }, "InvalidSignatureException"},
		"other region":        {func(r *request) { r.region = "us-east-1" }, "InvalidSignatureException"},
		"body changed": {func(r *request) {
			r.after = func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"a":2}`)) }
		}, "InvalidSignatureException"},
		"target changed": {func(r *request) {
			r.after = func(r *http.Request) { r.Header.Set("X-Amz-Target", "Echo_20260101.Other") }
		}, "InvalidSignatureException"},
		"header smuggled in": {func(r *request) {
			r.after = func(r *http.Request) { r.Header.Set("X-Amz-Extra", "1") }
		}, "InvalidSignatureException"},
		"query changed": {func(r *request) {
			r.after = func(r *http.Request) { r.URL.RawQuery = "a=1" }
		}, "InvalidSignatureException"},
		"date replaced": {func(r *request) {
			r.after = func(r *http.Request) {
				r.Header.Set("X-Amz-Date", now.Add(time.Second).UTC().Format("20060102T150405Z"))
			}
		}, "InvalidSignatureException"},
		"host not signed": {func(r *request) {
			r.after = func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), ";host", "", 1))
			}
		}, "InvalidSignatureException"},
		"no signature": {func(r *request) {
			r.after = func(r *http.Request) { r.Header.Del("Authorization") }
		}, "MissingAuthenticationTokenException"},
		"two signatures": {func(r *request) {
			r.after = func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }
		}, "IncompleteSignatureException"},
		"signature of nothing": {func(r *request) {
			r.after = func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256") }
		}, "IncompleteSignatureException"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := request{keys: Keys, service: "echo", region: Region, at: now}
			tc.change(&in)
			body := []byte(`{"a":1}`)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Amz-Target", "Echo_20260101.Say")
			hash := sha256.Sum256(body)
			if err := v4.NewSigner().SignHTTP(t.Context(), in.keys, req, hex.EncodeToString(hash[:]), in.service, in.region, in.at); err != nil {
				t.Fatal(err)
			}
			if in.after != nil {
				in.after(req)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if tc.code == "" && (resp.StatusCode != http.StatusOK || string(text) != `{"operation":"Say"}`) {
				t.Fatalf("%d %s", resp.StatusCode, text)
			}
			if tc.code != "" && !strings.Contains(string(text), "#"+tc.code+`"`) {
				t.Fatalf("want %s, got %d %s", tc.code, resp.StatusCode, text)
			}
		})
	}
}
