package aws

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func issue(t *testing.T, r *role) (creds.Material, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return r.Issue(ctx, creds.Spec{}, request(`{}`))
}

// secretFree fails if an error says what the fake services hide in theirs.
func secretFree(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	for _, secret := range []string{fakeaws.Keys.SecretAccessKey, fakeaws.Keys.SessionToken, fakeaws.UserKeys.SecretAccessKey, "FwoGZXIvYXdz", "Canonical", "canary"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q has %q", text, secret)
		}
	}
}

func TestIssue(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	r := c.role(t, SessionPolicy(readLogs), PrincipalTag("team", Tenant), Tag("env", "prod"), TransitiveTags("env"), PrincipalSourceIdentity(), ExternalID("ext:1"))
	m, err := issue(t, r)
	if err != nil {
		t.Fatal(err)
	}
	session := c.sts.Sessions[m.Record.KeyID]
	if session == nil || session.Tags["team"] != "acme" || session.Tags["env"] != "prod" || session.Transitive[0] != "env" || session.Request.Get("ExternalId") != "ext:1" ||
		!strings.HasPrefix(session.SourceIdentity, "alice-") || session.Request.Get("DurationSeconds") != "900" || session.Request.Get("Policy") != r.policy.pieces[0].text {
		t.Errorf("STS was asked for %+v", session)
	}
	var d struct {
		Version         int    `json:"Version"`
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string `json:"SecretAccessKey"`
		SessionToken    string `json:"SessionToken"`
		Expiration      string `json:"Expiration"`
	}
	if err := json.Unmarshal(m.Secret.Reveal(), &d); err != nil || d.Version != 1 || d.AccessKeyID != m.Record.KeyID || string(m.Parts[0].Reveal()) != d.SecretAccessKey || string(m.Parts[1].Reveal()) != d.SessionToken {
		t.Errorf("%v, %+v", err, d)
	}
	if end, err := time.Parse(time.RFC3339, d.Expiration); err != nil || !end.Equal(m.Expires) || time.Until(end) > 15*time.Minute+2*time.Second || time.Until(end) < 14*time.Minute {
		t.Errorf("ends at %s, %v", d.Expiration, err)
	}
	if m.Record.Role != session.ARN || !strings.HasPrefix(m.Record.Policy, "sha256:") || m.Record.Provider != "aws" || m.Version != d.AccessKeyID || m.Public["region"] != fakeaws.Region {
		t.Errorf("%+v", m)
	}
	if m.Public["session_token_use"] != "" {
		t.Errorf("an alarm at 12%%: %v", m.Public)
	}
	c.sts.Change = func(i *fakeaws.Issued) { i.TokenUtilization = "81" }
	if m, err := issue(t, r); err != nil || m.Public["session_token_use"] != "81%" {
		t.Errorf("no alarm at 81%%: %v, %v", m.Public, err)
	}
}

// case 1 and case 4: what STS refuses and when it is down is told apart, without
// anything it said.
func TestCase4Refusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		faults []fakeaws.Fault
		change func(c *cloud)
		want   string
		outage bool
		asked  int
	}{
		"throttled":        {[]fakeaws.Fault{fakeaws.Refuse(400, "Throttling", "canary"), fakeaws.Refuse(400, "Throttling", "canary")}, nil, "Throttling", true, 1},
		"limit exceeded":   {[]fakeaws.Fault{fakeaws.Refuse(400, "RequestLimitExceeded", "canary")}, nil, "RequestLimitExceeded", true, 1},
		"429":              {[]fakeaws.Fault{fakeaws.Answer(429, "text/plain", "canary")}, nil, "", true, 1},
		"down":             {[]fakeaws.Fault{fakeaws.Refuse(503, "ServiceUnavailable", "canary")}, nil, "ServiceUnavailable", true, 1},
		"gateway once":     {[]fakeaws.Fault{fakeaws.Answer(502, "text/html", "<html>canary")}, nil, "-", false, 2},
		"connection once":  {[]fakeaws.Fault{fakeaws.Lose()}, nil, "-", false, 2},
		"connection twice": {[]fakeaws.Fault{fakeaws.Lose(), fakeaws.Lose()}, nil, "not reached", true, 2},
		"no such role":     {nil, func(c *cloud) { delete(c.sts.Roles, readerARN) }, "AccessDenied (the trust policy", false, 1},
		"no trust": {nil, func(c *cloud) {
			c.sts.Roles[readerARN].Trust = strings.Replace(trustAll, `"*"`, `"arn:aws:iam::123456789012:user/x"`, 1)
		}, "AccessDenied", false, 1},
		"no TagSession": {nil, func(c *cloud) { c.sts.Roles[readerARN].Trust = strings.Replace(trustAll, `"sts:TagSession",`, "", 1) }, "sts:TagSession", false, 1},
		"no external id": {nil, func(c *cloud) {
			c.sts.Roles[readerARN].Trust = strings.Replace(trustAll, `"Allow",`, `"Allow","Condition":{"StringEquals":{"sts:ExternalId":"right"}},`, 1)
		}, "sts:ExternalId", false, 1},
		"token of the base": {nil, func(c *cloud) { c.Trust(withToken("other")) }, "InvalidClientTokenId", false, 1},
		"wrong secret":      {nil, func(c *cloud) { c.Trust(withSecret("other")) }, "SignatureDoesNotMatch (wrong secret key", false, 1},
		"policy too large":  {[]fakeaws.Fault{fakeaws.Refuse(400, "PackedPolicyTooLarge", "canary")}, nil, "PackedPolicyTooLarge (session policy and tags", false, 1},
		"region not active": {[]fakeaws.Fault{fakeaws.Refuse(403, "RegionDisabledException", "canary")}, nil, "activate STS", false, 1},
		"code of a joker":   {[]fakeaws.Fault{fakeaws.Refuse(400, "a b\ncanary", "canary")}, nil, "(unprintable)", false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			r := c.role(t, SessionPolicy(readLogs), Tag("k", "v"), ExternalID("wrong"))
			if tc.change != nil {
				tc.change(c)
			}
			c.Inject("AssumeRole", tc.faults...)
			_, err := issue(t, r)
			if n := c.Requests("AssumeRole"); n > tc.asked {
				t.Errorf("asked %d times", n)
			}
			if tc.want == "-" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, creds.ErrOutage) != tc.outage || !strings.Contains(err.Error(), readerARN) {
				t.Fatalf("got %v (outage %v)", err, errors.Is(err, creds.ErrOutage))
			}
			secretFree(t, err)
			if mcpsec.AsDenial(err) != nil {
				t.Error("looks like the caller's fault")
			}
		})
	}
}

// case 17: what cannot be known from configuration fails closed and says why.
func TestCase17Chains(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	first := c.role(t, Tag("Project", "a"), TransitiveTags("Project"), SourceIdentity("host"), Unrestricted())
	k, err := first.exchange(t.Context(), &session{name: "first", source: "host", tags: first.tags})
	if err != nil {
		t.Fatal(err)
	}
	base := SessionKeys(k.AccessKeyID, secretOf(k.SecretAccessKey), secretOf(k.SessionToken), k.Expires)
	for name, tc := range map[string]struct {
		opts []Option
		want string
	}{
		"other source identity": {[]Option{SessionPolicy(readLogs), SourceIdentity("alice")}, "AccessDenied (the trust policy"},
		"same source identity":  {[]Option{SessionPolicy(readLogs), SourceIdentity("host")}, ""},
		"inherited tag":         {[]Option{Unrestricted(), Tag("project", "b")}, "InvalidParameterValue"},
		"other tag":             {[]Option{Unrestricted(), Tag("other", "b")}, ""},
	} {
		r := c.role(t, append(tc.opts, Using(base))...)
		_, err := issue(t, r)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// case 9: clocks that are too far apart are told, whichever is wrong.
func TestCase9Clocks(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		local, server time.Duration
		want          string
	}{
		"local 10 minutes behind": {-10 * time.Minute, 0, "behind that of STS"},
		"local 10 minutes ahead":  {10 * time.Minute, 0, "ahead of that of STS"},
		"server 10 minutes ahead": {0, 10 * time.Minute, "behind that of STS"},
		"local 4 minutes behind":  {-4 * time.Minute, 0, ""},
		"local 4 minutes ahead":   {4 * time.Minute, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			c.SetClock(func() time.Time { return time.Now().Add(tc.server) })
			r := c.role(t, SessionPolicy(readLogs))
			r.now = func() time.Time { return time.Now().Add(tc.local) }
			m, err := issue(t, r)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// The end is in local time: neither dead keys that look alive, nor a storm.
			if life := m.Expires.Sub(r.now()); life > 15*time.Minute || life < 14*time.Minute {
				t.Errorf("lives for %v by the local clock", life)
			}
		})
	}
}

// case 10: an end that is missing, past or too late.
func TestCase10Ends(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ end, want string }{
		"missing":       {"", "not one of this API"},
		"zero":          {"0001-01-01T00:00:00Z", "not one of this API"},
		"no time":       {"tomorrow", "not one of this API"},
		"past":          {time.Now().Add(-time.Minute).UTC().Format(time.RFC3339), "ended already"},
		"in 12 hours":   {time.Now().Add(12 * time.Hour).UTC().Format(time.RFC3339), ""},
		"in 1000 years": {"3026-01-01T00:00:00Z", ""},
	} {
		c := newCloud(t)
		c.sts.Change = func(i *fakeaws.Issued) { i.Expiration = tc.end }
		m, err := issue(t, c.role(t, SessionPolicy(readLogs)))
		switch {
		case tc.want != "":
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case time.Until(m.Expires) > 15*time.Minute:
			t.Errorf("%s: kept for %v", name, time.Until(m.Expires))
		}
	}
}

// case 22: an answer that is none.
func TestCase22Answers(t *testing.T) {
	t.Parallel()
	whole := `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAQ3EGCANARYCANARY</AccessKeyId></Credentials></AssumeRoleResult></AssumeRoleResponse>`
	for name, fault := range map[string]fakeaws.Fault{
		"HTML":            fakeaws.Answer(200, "text/html", "<html><body>canary</body></html>"),
		"garbage":         fakeaws.Answer(200, "text/xml", "canary \x00\xff"),
		"empty":           fakeaws.Answer(200, "text/xml", ""),
		"JSON":            fakeaws.Answer(200, "application/json", `{"canary":1}`),
		"half":            fakeaws.Truncate(false),
		"broken off":      fakeaws.Truncate(true),
		"too long":        fakeaws.Answer(200, "text/xml", strings.Repeat("<canary>", 40_000)),
		"deep":            fakeaws.Answer(200, "text/xml", strings.Repeat("<a>", 30_000)),
		"no secret":       fakeaws.Answer(200, "text/xml", whole),
		"no content":      fakeaws.Answer(204, "text/xml", ""),
		"refused in HTML": fakeaws.Answer(403, "text/html", "<html>canary</html>"),
		"refused empty":   fakeaws.Answer(403, "text/xml", ""),
		"redirect":        redirect,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			c.Inject("AssumeRole", fault)
			c.Inject("AssumeRole", fault) // also for another attempt
			m, err := issue(t, c.role(t, SessionPolicy(readLogs)))
			if err == nil || !m.Secret.Empty() {
				t.Fatal("issued")
			}
			secretFree(t, err)
		})
	}
	for name, change := range map[string]func(i *fakeaws.Issued){
		"another role":     func(i *fakeaws.Issued) { i.ARN = strings.Replace(i.ARN, "/reader/", "/admin/", 1) },
		"another account":  func(i *fakeaws.Issued) { i.ARN = strings.Replace(i.ARN, fakeaws.Account, "999999999999", 1) },
		"another session":  func(i *fakeaws.Issued) { i.ARN += "x" },
		"another origin":   func(i *fakeaws.Issued) { i.SourceIdentity = "mallory" },
		"key id of dots":   func(i *fakeaws.Issued) { i.AccessKeyID = "../../../../../../x" },
		"key id with line": func(i *fakeaws.Issued) { i.AccessKeyID += "\n" },
		"secret with line": func(i *fakeaws.Issued) { i.SecretAccessKey += "\r\nX-Evil: 1" },
		"no secret":        func(i *fakeaws.Issued) { i.SecretAccessKey = "" },
		"no token":         func(i *fakeaws.Issued) { i.SessionToken = "" },
		"token too long":   func(i *fakeaws.Issued) { i.SessionToken = strings.Repeat("x", 17<<10) },
	} {
		c := newCloud(t)
		c.sts.Change = change
		if _, err := issue(t, c.role(t, SessionPolicy(readLogs), SourceIdentity("host"))); err == nil {
			t.Errorf("%s: issued", name)
		} else {
			secretFree(t, err)
		}
	}
}

func redirect(*fakeaws.Server, http.Handler) http.Handler {
	return http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect)
}

// case 2: a hanging STS costs a caller no more than its own deadline, and nothing is
// left behind.
func TestCase2Hang(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	arrived := make(chan struct{}, 1)
	c.Inject("AssumeRole", fakeaws.Hang(func() { arrived <- struct{}{} }))
	r := c.role(t, SessionPolicy(readLogs))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err := r.Issue(ctx, creds.Spec{}, request(`{}`))
	if !errors.Is(err, context.Canceled) || errors.Is(err, creds.ErrOutage) {
		t.Errorf("got %v", err)
	}
	if _, err := issue(t, r); err != nil {
		t.Errorf("the next: %v", err)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	r := c.role(t, SessionPolicy(one("arn:aws:s3:::b/{{arg.k | segment 1000}}/{{principal.identity}}")), PrincipalTag("who", Subject), PrincipalSourceIdentity())
	a, err := r.Probe(t.Context(), creds.Spec{})
	if err != nil || a.Identity != readerARN || len(a.Rules) != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	if c.Requests("AssumeRole") != 1 || c.Requests("GetCallerIdentity") != 1 {
		t.Error("it did not ask")
	}
	c.sts.Roles[readerARN].Trust = strings.Replace(trustAll, `"sts:TagSession",`, "", 1)
	if _, err := r.Probe(t.Context(), creds.Spec{}); err == nil || !strings.Contains(err.Error(), "sts:TagSession") {
		t.Errorf("without TagSession: %v", err)
	}
}
