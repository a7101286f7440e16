package aws

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func offline(tb testing.TB, opts ...Option) *role {
	tb.Helper()
	r := newRole(readerARN, nil, append([]Option{Using(chained()), Region("eu-central-1")}, opts...))
	if err := r.Check(creds.Spec{}); err != nil {
		tb.Fatal(err)
	}
	return r
}

func planOf(tb testing.TB, r *role, q creds.Request) string {
	tb.Helper()
	plan, err := r.Plan(creds.Spec{}, q)
	if err != nil {
		tb.Fatal(err)
	}
	if len(plan) > 1024 {
		tb.Fatalf("plan of %d bytes", len(plan))
	}
	return plan
}

// case 14: session names are valid, stable and free of collisions.
func TestCase14SessionNames(t *testing.T) {
	t.Parallel()
	r := offline(t, SessionPolicy(readLogs), PrincipalSourceIdentity())
	long := strings.Repeat("a", 299)
	seen := map[string]string{}
	for _, subject := range []string{
		"alice", "Alice", "auth0|alice/../../x", "auth0+alice+..+..+x", "auth0|alice/../..\\x", long + "x", long + "y", "日本", "日木", "", " ", "\x00", "aws:alice", "alice\n", strings.Repeat("\U0001F600", 100),
	} {
		for _, tool := range []string{"list", "list files", strings.Repeat("t", 300)} {
			q := creds.Request{Tool: tool, Principal: mcpsec.Principal{Rung: mcpsec.Token, Issuer: "i", Subject: subject}}
			s, err := r.session(q)
			if err != nil {
				t.Fatal(err)
			}
			again, err := r.session(q)
			if err != nil || again.name != s.name || again.source != s.source {
				t.Errorf("%q is not stable: %v", subject, err)
			}
			for _, name := range []string{s.name, s.source} {
				if !stsName.MatchString(name) {
					t.Errorf("%q gives %q", subject, name)
				}
			}
			if of, twice := seen[s.name]; twice {
				t.Errorf("%q and %q both are %s", of, subject+tool, s.name)
			}
			seen[s.name] = subject + tool
			if of, twice := seen["source "+s.source]; twice && of != subject {
				t.Errorf("%q and %q both are %s", of, subject, s.source)
			}
			seen["source "+s.source] = subject
		}
	}
	s, _ := r.session(creds.Request{Tool: "list", Principal: mcpsec.Principal{Rung: mcpsec.Token, Issuer: "i", Subject: "auth0|alice/../../x"}})
	if !strings.HasPrefix(s.source, "auth0+alice+..+..+x-") || !strings.HasPrefix(s.name, "list-") {
		t.Errorf("people cannot read %q and %q", s.name, s.source)
	}
}

// cases 12 and 13: what differs at STS never shares a plan, and what does not does.
func TestCase13Plans(t *testing.T) {
	t.Parallel()
	bob := alice()
	bob.Subject = "bob"
	withArg := one("arn:aws:s3:::b/{{arg.k | segment 9}}")
	for name, tc := range map[string]struct {
		opts  []Option
		same  func(q *creds.Request) // must not change the plan
		other func(q *creds.Request) // must
	}{
		"a session for each caller": {[]Option{SessionPolicy(readLogs)}, func(q *creds.Request) { q.CallID, q.Arguments = "2", []byte(`{"a":1}`) }, func(q *creds.Request) { q.Principal = bob }},
		"a session for each tool":   {[]Option{SessionPolicy(readLogs), SharedSession()}, func(q *creds.Request) { q.Principal = bob }, func(q *creds.Request) { q.Tool = "write" }},
		"nobody in particular":      {[]Option{SessionPolicy(readLogs), SharedSession()}, func(q *creds.Request) { q.Principal = mcpsec.Principal{} }, func(q *creds.Request) { q.Tool = "" }},
		"source identity":           {[]Option{SessionPolicy(readLogs), SharedSession(), PrincipalSourceIdentity()}, func(q *creds.Request) { q.CallID = "2" }, func(q *creds.Request) { q.Principal = bob }},
		"tag":                       {[]Option{SharedSession(), PrincipalTag("who", Subject)}, func(q *creds.Request) { q.Principal.Tenant = "x" }, func(q *creds.Request) { q.Principal = bob }},
		"identity":                  {[]Option{SharedSession(), PrincipalTag("who", Identity)}, func(q *creds.Request) { q.CallID = "2" }, func(q *creds.Request) { q.Principal.Issuer = "https://other.example" }},
		"argument":                  {[]Option{SharedSession(), SessionPolicy(withArg)}, func(q *creds.Request) { q.Arguments = []byte(`{"x":[], "k":"a"}`) }, func(q *creds.Request) { q.Arguments = []byte(`{"k":"b"}`) }},
		"caller in the policy":      {[]Option{SharedSession(), SessionPolicy(one("arn:aws:s3:::b/{{principal.subject | segment 9}}"))}, func(q *creds.Request) { q.Principal.Issuer = "j" }, func(q *creds.Request) { q.Principal = bob }},
	} {
		r := offline(t, tc.opts...)
		q := request(`{"k":"a"}`)
		same, other := q, q
		tc.same(&same)
		tc.other(&other)
		for range 2 { // computed, and remembered
			if planOf(t, r, q) != planOf(t, r, same) || planOf(t, r, q) == planOf(t, r, other) {
				t.Errorf("%s: %s, %s, %s", name, planOf(t, r, q), planOf(t, r, same), planOf(t, r, other))
			}
		}
	}
	q := request(`{}`)
	plans := map[string]int{}
	for i, opts := range [][]Option{
		{}, {Tag("a", "bc")}, {Tag("ab", "c")}, {Tag("a", "b"), Tag("c", "")}, {SourceIdentity("abc")}, {ExternalID("abc")}, {Duration(1e9 * 1000)}, {Region("eu-west-1")},
		{Endpoint("https://sts.example.com")}, {Tag("a", "bc"), TransitiveTags("a")}, {PolicyARNs("arn:aws:iam::aws:policy/x")}, {SharedSession()},
	} {
		plan := planOf(t, offline(t, append([]Option{SessionPolicy(readLogs)}, opts...)...), q)
		if j, twice := plans[plan]; twice {
			t.Errorf("configurations %d and %d share", i, j)
		}
		plans[plan] = i
	}
	// 10,000 callers: all different, with a bounded memory.
	r := offline(t, SessionPolicy(readLogs))
	seen := map[string]bool{}
	for i := range 10_000 {
		p := alice()
		p.Subject = fmt.Sprint("user", i)
		seen[planOf(t, r, creds.Request{Tool: "list", Principal: p})] = true
	}
	if len(seen) != 10_000 {
		t.Errorf("%d plans for 10,000 callers", len(seen))
	}
}

func TestPlanCostsNothing(t *testing.T) {
	// As the guard makes them: with their key.
	keyed := mcpsec.Peer{Process: "uid:1000"}.Principal()
	for name, opts := range map[string][]Option{"shared": {SharedSession()}, "of a caller": {PrincipalTag("who", Identity)}} {
		r := offline(t, append(opts, SessionPolicy(readLogs))...)
		q := creds.Request{Tool: "list", Principal: keyed}
		if n := testing.AllocsPerRun(100, func() { _, _ = r.Plan(creds.Spec{}, q) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A caller who is not identified, or whose attribute AWS cannot hold, gets nothing.
func TestCallersWithoutAttribute(t *testing.T) {
	t.Parallel()
	who := PrincipalTag("who", Subject)
	for name, tc := range map[string]struct {
		opt Option
		p   mcpsec.Principal
	}{
		"anonymous":           {who, mcpsec.Principal{}},
		"forged anonymous":    {who, mcpsec.Principal{Rung: mcpsec.Anonymous, Subject: "alice"}},
		"address":             {who, mcpsec.Principal{Rung: mcpsec.Address, Subject: "192.0.2.1"}},
		"address as source":   {PrincipalSourceIdentity(), mcpsec.Principal{Rung: mcpsec.Address, Subject: "192.0.2.1"}},
		"no tenant":           {PrincipalTag("t", Tenant), mcpsec.Principal{Rung: mcpsec.Token, Subject: "alice"}},
		"anonymous as source": {PrincipalSourceIdentity(), mcpsec.Principal{}},
		"forged as source":    {PrincipalSourceIdentity(), mcpsec.Principal{Rung: mcpsec.Anonymous, Issuer: "i", Subject: "alice"}},
		"local process":       {who, mcpsec.Principal{Rung: mcpsec.Process, Subject: "uid:1000"}},
		"local, in a policy":  {SessionPolicy(one("arn:aws:s3:::b/{{principal.subject | segment 40}}/*")), mcpsec.Principal{Rung: mcpsec.Process, Subject: "alice"}},
		"local, with tenant":  {PrincipalTag("t", Tenant), mcpsec.Principal{Rung: mcpsec.Process, Subject: "uid:1000", Tenant: "acme"}},
		"pipe":                {who, mcpsec.Principal{Rung: mcpsec.Token, Subject: "auth0|alice"}},
		"257 characters":      {who, mcpsec.Principal{Rung: mcpsec.Token, Subject: strings.Repeat("a", 257)}},
		"wildcard":            {SessionPolicy(one("arn:aws:s3:::b/{{principal.subject | segment 40}}/*")), mcpsec.Principal{Rung: mcpsec.Token, Subject: "*"}},
		"too long for policy": {SessionPolicy(one("arn:aws:s3:::b/{{principal.subject | segment 3}}/*")), mcpsec.Principal{Rung: mcpsec.Token, Subject: "alice"}},
	} {
		r := offline(t, tc.opt, map[bool]Option{true: Unrestricted(), false: Tag("x", "y")}[strings.HasSuffix(name, "as source")])
		_, err := r.Plan(creds.Spec{}, creds.Request{Tool: "t", Principal: tc.p})
		if d := mcpsec.AsDenial(err); d == nil || d.Code != "creds.aws_principal" || strings.Contains(d.Error(), "alice") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.Issue(t.Context(), creds.Spec{}, creds.Request{Tool: "t", Principal: tc.p}); mcpsec.AsDenial(err) == nil {
			t.Errorf("%s: issued, %v", name, err)
		}
	}
}

// A tag that the policy makes part of a resource is one segment: "acme/*" must not be
// where "acme/eu" lives.
func TestTagsInsideAnothers(t *testing.T) {
	t.Parallel()
	inResource := SessionPolicy(one("arn:aws:s3:::b/${aws:principaltag/TENANT}/*"))
	inCondition := SessionPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k","Condition":{"StringEquals":{"aws:ResourceTag/t":"${aws:PrincipalTag/tenant}"}}},{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/tenant}"}]}`)
	for _, tenant := range []string{"acme", "acme/eu", "acme/", "spiffe://acme", "acme:eu", "acme eu", ".."} {
		q := request(`{}`)
		q.Principal.Tenant = tenant
		_, err := offline(t, inResource, PrincipalTag("Tenant", Tenant)).Plan(creds.Spec{}, q)
		if d := mcpsec.AsDenial(err); (tenant == "acme") != (err == nil) || err != nil && (d == nil || d.Code != "creds.aws_principal") {
			t.Errorf("%q as part of a resource: %v", tenant, err)
		}
		for _, opts := range [][]Option{{inCondition, PrincipalTag("tenant", Tenant)}, {inResource, PrincipalTag("other", Tenant)}} {
			if _, err := offline(t, opts...).Plan(creds.Spec{}, q); err != nil {
				t.Errorf("%q: %v", tenant, err)
			}
		}
	}
}

// A local process and the holder of a token of the same subject are two, wherever the
// credential says who the caller is.
func TestAProcessIsNoSubject(t *testing.T) {
	t.Parallel()
	r := offline(t, SessionPolicy(one("arn:aws:s3:::b/{{principal.identity}}")), PrincipalTag("who", Identity), PrincipalSourceIdentity())
	var of [3]session
	for i, rung := range []mcpsec.Rung{mcpsec.Process, mcpsec.Certificate, mcpsec.Token} {
		s, err := r.session(creds.Request{Tool: "t", Principal: mcpsec.Principal{Rung: rung, Subject: "uid:1000"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range of[:i] {
			if s.name == o.name || s.source == o.source || s.policy == o.policy || s.tags[0].value == o.tags[0].value {
				t.Errorf("%v: %+v is also another's", rung, s)
			}
		}
		of[i] = s
	}
}

// case 12 and item 6 of the purpose: what a reviewer is shown is what STS gets.
func TestDescribe(t *testing.T) {
	t.Parallel()
	r := offline(t, SessionPolicy(one("arn:aws:s3:::b/{{principal.identity}}/{{arg.k | segment 9}}")), PrincipalTag("who", Subject), PrincipalSourceIdentity())
	a, err := r.Describe(creds.Spec{}, request(`{"k":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	id, _ := Identity.value(alice())
	if a.Identity != readerARN || len(a.Rules) != 1 || a.Rules[0].Resources[0] != "arn:aws:s3:::b/"+id+"/x" || a.Rules[0].Actions[0] != "s3:GetObject" || !json.Valid([]byte(a.Policy)) {
		t.Errorf("%+v", a)
	}
	if notes := strings.Join(a.Notes, " "); !strings.Contains(notes, "tag who=alice") || !strings.Contains(notes, "two issuers") || !strings.Contains(notes, "source identity is alice-") {
		t.Errorf("%q", notes)
	}
	if _, err := r.Describe(creds.Spec{}, request(`{}`)); mcpsec.AsDenial(err) == nil {
		t.Errorf("without argument: %v", err)
	}
}
