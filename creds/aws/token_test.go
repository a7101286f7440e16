package aws

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

const audience = "sts.amazonaws.com"

func (c *cloud) issuer(tb testing.TB) *fakeaws.Issuer {
	tb.Helper()
	i := fakeaws.NewIssuer(tb, audience)
	c.sts.Issuers[i.URL] = i
	return i
}

func webRole(tb testing.TB, file string, opts ...Option) *role {
	tb.Helper()
	r := newRole(readerARN, &tokenFileOf{file, audience}, append([]Option{Region(fakeaws.Region), SessionPolicy(readLogs)}, opts...))
	if err := r.Check(creds.Spec{}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.Close() })
	return r
}

// case 18: the token file is read for each exchange, and nothing bad in it is sent.
func TestCase18TokenFile(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	issuer := c.issuer(t)
	file := filepath.Join(t.TempDir(), "token")
	r := webRole(t, file, Endpoint(c.URL))
	now := time.Now()
	good := issuer.Token(t, now, map[string]any{"sub": "workload", "aud": audience})
	other := fakeaws.NewIssuer(t, audience)
	for _, step := range []struct {
		name, content, want string
		sent                bool
	}{
		{"missing", "-", "no such file", false},
		{"good", good + "\n", "", true},
		{"truncated mid-write", good[:len(good)/2], "half of one", false},
		{"empty", "", "is empty", false},
		{"line feed", "\n", "is empty", false},
		{"rotated", issuer.Token(t, now, map[string]any{"sub": "workload", "aud": []string{audience}, "jti": "2"}), "", true},
		{"signature cut", good[:len(good)-4], "InvalidIdentityToken", true},
		{"expired", issuer.Token(t, now.Add(-2*time.Hour), map[string]any{"sub": "w", "aud": audience}), "expired at", false},
		{"without end", issuer.Token(t, now, map[string]any{"sub": "w", "aud": audience, "exp": nil}), "without an end", false},
		{"end of text", issuer.Token(t, now, map[string]any{"sub": "w", "aud": audience, "exp": "never"}), "without an end", false},
		{"other audience", issuer.Token(t, now, map[string]any{"sub": "w", "aud": "https://mcp.example"}), "another audience", false},
		{"audience among others", issuer.Token(t, now, map[string]any{"sub": "w", "aud": []string{audience, "x"}}), "another audience", false},
		{"no audience", issuer.Token(t, now, map[string]any{"sub": "w"}), "another audience", false},
		{"other issuer", other.Token(t, now, map[string]any{"sub": "w", "aud": audience}), "InvalidIdentityToken", true},
		{"no token", "canary", "no identity token", false},
		{"two lines", good + "\n" + good, "no identity token", false},
		{"too long", strings.Repeat("x", maxToken+1), "larger than", false},
		{"good again", good, "", true},
	} {
		if step.content != "-" {
			if err := os.WriteFile(file, []byte(step.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := c.Requests("AssumeRoleWithWebIdentity")
		_, err := issue(t, r)
		if sent := c.Requests("AssumeRoleWithWebIdentity") > before; sent != step.sent {
			t.Errorf("%s: sent %v", step.name, sent)
		}
		if step.want == "" && err != nil || step.want != "" && (err == nil || !strings.Contains(err.Error(), step.want)) {
			t.Errorf("%s: %v, want %q", step.name, err, step.want)
		}
		if err != nil {
			secretFree(t, err)
			if strings.Contains(err.Error(), good[:20]) || errors.Is(err, creds.ErrOutage) {
				t.Errorf("%s: %v", step.name, err)
			}
		}
	}
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := issue(t, r); os.Getuid() != 0 && (err == nil || !strings.Contains(err.Error(), "permission denied")) {
		t.Errorf("unreadable: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := issue(t, r); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
}

// case 18: what the identity provider does is told apart.
func TestCase18Provider(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	issuer := c.issuer(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(issuer.Token(t, time.Now(), map[string]any{"sub": "workload", "aud": audience})), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		fault fakeaws.Fault
		want  string
		asked int
	}{
		"could not be reached once": {fakeaws.Refuse(400, "IDPCommunicationError", "canary"), "", 2},
		"rejects":                   {fakeaws.Refuse(403, "IDPRejectedClaim", "canary"), "IDPRejectedClaim (the identity provider", 1},
		"invalid":                   {fakeaws.Refuse(400, "InvalidIdentityToken", "canary"), "InvalidIdentityToken (the token's issuer", 1},
		"expired":                   {fakeaws.Refuse(400, "ExpiredTokenException", "canary"), "ExpiredToken (the token or", 1},
	} {
		before := c.Requests("AssumeRoleWithWebIdentity")
		c.Inject("AssumeRoleWithWebIdentity", tc.fault)
		_, err := issue(t, webRole(t, file, Endpoint(c.URL)))
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if n := c.Requests("AssumeRoleWithWebIdentity") - before; n != tc.asked {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
}

// A session of a web identity can be the base of others, with tags.
func TestWebIdentityBase(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	issuer := c.issuer(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(issuer.Token(t, time.Now(), map[string]any{"sub": "workload", "aud": audience})), 0o600); err != nil {
		t.Fatal(err)
	}
	// One connection that the test closes, because a Base has nothing to close.
	transport := transport()
	t.Cleanup(transport.CloseIdleConnections)
	base := WebIdentity(readerARN, file, audience, Region(fakeaws.Region), Endpoint(c.URL), Transport(transport))
	for range 3 {
		if _, err := issue(t, c.role(t, Using(base), Tag("k", "v"), Unrestricted())); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.Requests("AssumeRoleWithWebIdentity"); n != 1 {
		t.Errorf("the base was asked for %d times", n)
	}
	if err := WebIdentity("x", "", "").Check(); err == nil {
		t.Error("faults are not seen")
	}
	if _, err := WebIdentity("x", "", "").Retrieve(context.Background()); err == nil {
		t.Error("faults are not seen")
	}
}

// Whatever the file holds: what is sent is a token for the audience that has not ended.
func FuzzToken(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	b64 := base64.RawURLEncoding.EncodeToString
	for _, claims := range []string{`{"aud":"sts.amazonaws.com","exp":1800000001}`, `{"aud":["sts.amazonaws.com"],"exp":1.8e10}`, `{"aud":"x","exp":-1}`, `{"exp":1e999}`, `{"aud":"x","aud":"sts.amazonaws.com","exp":1800000001}`, `[]`} {
		f.Add([]byte(b64([]byte(`{}`)) + "." + b64([]byte(claims)) + ".AAAA"))
	}
	file := &tokenFileOf{"token", audience}
	f.Fuzz(func(t *testing.T, data []byte) {
		token, err := file.judge(data, now)
		if err != nil {
			return
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Aud any     `json:"aud"`
			Exp float64 `json:"exp"`
		}
		if err := json.Unmarshal(payload, &claims); err != nil || claims.Exp < float64(now.Unix()) || strings.ContainsAny(token, " \r\n\x00") {
			t.Fatalf("%q: %v", token, err)
		}
		if list, ok := claims.Aud.([]any); ok && len(list) == 1 {
			claims.Aud = list[0]
		}
		if claims.Aud != audience {
			t.Fatalf("%q is for %v", token, claims.Aud)
		}
	})
}
