package secrets

import (
	"context"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/mcpsec/mcpsec-go/creds"
)

const (
	goodSecret    = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db-AbCdEf"
	goodParameter = "arn:aws:ssm:eu-central-1:123456789012:parameter/prod/db"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	keys := Credentials(credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "an example", ""))
	region := Region("eu-central-1")
	tests := map[string]struct {
		p    creds.Provider
		want string // empty: nothing is wrong
	}{
		"a name":                               {Manager("prod/db", keys, region), ""},
		"a whole ARN":                          {Manager(goodSecret, keys), ""},
		"a whole ARN of an account":            {Manager(goodSecret, keys, Accounts("123456789012")), ""},
		"a path":                               {Parameter("/prod/db", keys, region), ""},
		"a parameter's ARN":                    {Parameter(goodParameter, keys), ""},
		"no credentials":                       {Manager("db", region), "secrets.Credentials"},
		"nil credentials":                      {Manager("db", region, Credentials(nil)), "secrets.Credentials"},
		"anonymous":                            {Manager("db", region, Credentials(awssdk.AnonymousCredentials{})), "secrets.Credentials"},
		"no region":                            {Manager("db", keys), "secrets.Region"},
		"a region that is a host":              {Manager("db", keys, Region("eu.evil.example/")), "secrets.Region"},
		"a region against the ARN":             {Manager(goodSecret, keys, Region("us-east-1")), "the ARN is in eu-central-1"},
		"another account":                      {Manager(goodSecret, keys, Accounts("999999999999")), "123456789012 of the ARN"},
		"an account that is none":              {Manager(goodSecret, keys, Accounts("123")), "12 digits"},
		"no account":                           {Manager(goodSecret, keys, Accounts()), "at least one"},
		"an ARN without its end":               {Manager("arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db", keys), "whole ARN"},
		"an ARN of another service":            {Manager(goodParameter, keys), "whole ARN"},
		"a secret's ARN for a parameter":       {Parameter(goodSecret, keys), "whole ARN"},
		"half an ARN":                          {Parameter("arn:aws:ssm", keys, region), "neither"},
		"a name with a wildcard":               {Manager("prod/*", keys, region), "a name has"},
		"no name":                              {Manager("", keys, region), "a name has"},
		"no parameter":                         {Parameter("", keys, region), "a name has"},
		"a parameter with a version":           {Parameter("db:3", keys, region), "neither version nor label"},
		"a parameter's ARN with a label":       {Parameter(goodParameter+":old", keys, region), "neither version nor label"},
		"a parameter of AWS":                   {Parameter("/aws/service/ami", keys, region), "begin with aws"},
		"a secret by way of the other API":     {Parameter("/aws/reference/secretsmanager/db", keys, region), "secrets.Manager"},
		"a poll too often":                     {Manager("db", keys, region, Poll(time.Second)), "secrets.Poll"},
		"a poll too seldom":                    {Manager("db", keys, region, Poll(2*time.Hour)), "secrets.Poll"},
		"an endpoint in clear":                 {Manager("db", keys, region, Endpoint("http://10.0.0.1/")), "https"},
		"an endpoint in clear that looks safe": {Manager("db", keys, region, Endpoint("http://localhost.evil.example/")), "https"},
		"an endpoint with a password":          {Manager("db", keys, region, Endpoint("https://a:b@vpce.example/")), "scheme, host and path"},
		"an endpoint of one's own":             {Manager("db", keys, region, Endpoint("https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com")), ""},
		"an endpoint on this machine":          {Manager("db", keys, region, Endpoint("http://127.0.0.1:4566")), ""},
		"a client that is none":                {Manager("db", keys, region, Client(nil)), "secrets.Client"},
		"a member without name":                {Manager("db", keys, region, Field("")), "secrets.Field"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := of(t, test.p)
			err := p.Check(creds.NewSpec("db", nil))
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v does not say %q", err, test.want)
			}
			if _, err := p.Describe(creds.Spec{}, creds.Request{}); err == nil {
				t.Error("described")
			}
			refused(t, p, test.want)
		})
	}
	t.Run("a parameter of the specification", func(t *testing.T) {
		t.Parallel()
		p := of(t, tests["a name"].p)
		if err := p.Check(creds.NewSpec("db", map[string]string{"filed": "password"})); err == nil || !strings.Contains(err.Error(), `"filed"`) {
			t.Error(err)
		}
	})
}

// Tools share a secret, and do not share it with another one of the same name.
func TestPlan(t *testing.T) {
	t.Parallel()
	server, _, _, all := fakes(t)
	for store, b := range all {
		name := "/" + strings.Repeat("x", 500) // as long as it may be for both
		if store == "Manager" {
			name = name[1:]
		} else {
			name += strings.Repeat("x", 500)
		}
		must(t, b.admin.create(t.Context(), name, `{"a":"`+canary+` a","b":"`+canary+` b"}`))
		one := b.provider(t, name, Field("a"))
		in := bind(t, one)
		both := creds.New(creds.ForTool("tool", creds.Named("db", one), creds.Named("b", b.provider(t, name, Field("b")))))
		before := server.Requests(operation(store))
		for range 3 {
			inCall(t, in, func(ctx context.Context, h *creds.Handle) { get(ctx, t, h) })
		}
		if n := server.Requests(operation(store)) - before; n != 1 {
			t.Errorf("%s: read %d times", store, n)
		}
		inCall(t, both, func(ctx context.Context, h *creds.Handle) {
			m, err := h.Get(ctx, "b")
			must(t, err)
			if a, b := get(ctx, t, h), string(m.Secret.Reveal()); a != canary+" a" || b != canary+" b" {
				t.Errorf("%s: %q and %q", store, a, b)
			}
		})
		must(t, both.Close())
	}
}

func TestField(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ stored, want, fault string }{
		{`{"password":"p"}`, "p", ""},
		{` {"a":1, "password":"\ud83d\ude00 \u0000"} `, "😀 \x00", ""},
		{`{"Password":"p"}`, "", "no such member"},
		{`{"password":"a","password":"b"}`, "", "not JSON"},
		{`{"password":null}`, "", "no string"},
		{`{"password":""}`, "", "empty"},
		{`{"password":["p"]}`, "", "no string"},
		{`["password"]`, "", "no JSON object"},
		{`"password"`, "", "no JSON object"},
		{`null`, "", "no JSON object"},
		{`{"password":"CANARY"} x`, "", "not JSON"},
		{"CANARY\xff", "", "not JSON"},
	} {
		got, err := field([]byte(test.stored), "password")
		if string(got) != test.want || (err == nil) != (test.fault == "") {
			t.Errorf("%s: %q, %v", test.stored, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), test.fault) || strings.Contains(err.Error(), "CANARY")) {
			t.Errorf("%s: %v", test.stored, err)
		}
	}
}

func FuzzContent(f *testing.F) {
	f.Add([]byte(`{"username":"app","password":"correct horse"}`), "password")
	f.Add([]byte(`{"a":{"b":"c"},"A":"12345678"}`), "A")
	f.Add([]byte("\x00\xff"), "")
	f.Fuzz(func(t *testing.T, stored []byte, name string) {
		given := string(stored)
		member, err := field(stored, name)
		if err == nil && len(member) == 0 {
			t.Error("issued nothing")
		}
		all := parts(stored)
		if len(all) > maxParts {
			t.Errorf("%d parts", len(all))
		}
		for _, part := range all {
			if len(part.Reveal()) < leastPart {
				t.Errorf("a part of %d bytes", len(part.Reveal()))
			}
		}
		if string(stored) != given {
			t.Error("the stored secret was changed")
		}
	})
}
