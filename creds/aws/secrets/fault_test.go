package secrets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

// operation is the name of a store's read.
func operation(store string) string {
	if store == "Manager" {
		return "GetSecretValue"
	}
	return "GetParameter"
}

func TestFaults(t *testing.T) {
	t.Parallel()
	html := "<html>" + canary + "</html>"
	tests := map[string]struct {
		faults []fakeaws.Fault
		words  []string
		outage bool
	}{
		"case 22: 200 with HTML":          {[]fakeaws.Fault{fakeaws.Answer(200, "text/html", html)}, []string{"not one of this API"}, false},
		"case 22: 200 with nothing":       {[]fakeaws.Fault{fakeaws.Answer(200, "application/x-amz-json-1.1", "")}, []string{"not one of this API"}, false},
		"case 22: 200 with half of it":    {[]fakeaws.Fault{fakeaws.Truncate(false)}, []string{"no JSON object"}, false},
		"case 22: 200 that breaks off":    {[]fakeaws.Fault{fakeaws.Truncate(true)}, []string{"broke off"}, false},
		"case 22: 200 with an array":      {[]fakeaws.Fault{fakeaws.Say(`["` + canary + `"]`)}, []string{"no JSON object"}, false},
		"case 22: 200 without a secret":   {[]fakeaws.Fault{fakeaws.Say(`{}`)}, []string{"not one of this API"}, false},
		"case 22: 200 twice the same":     {[]fakeaws.Fault{fakeaws.Say(`{"SecretString":"` + canary + `","SecretString":"b"}`)}, []string{"no JSON object"}, false},
		"case 22: 200 without request id": {[]fakeaws.Fault{fakeaws.Answer(200, "application/x-amz-json-1.1", `{"a":"`+canary+`"}`)}, []string{"no request id"}, false},
		"case 22: 200 without end":        {[]fakeaws.Fault{fakeaws.Say(`{"a":"` + strings.Repeat("a", maxAnswer) + `"}`)}, []string{"longer than"}, false},
		"case 22: 403 with HTML":          {[]fakeaws.Fault{fakeaws.Answer(403, "text/html", html)}, []string{"HTTP 403"}, false},
		"case 22: 302 to somewhere":       {[]fakeaws.Fault{fakeaws.Answer(302, "text/html", html)}, []string{"HTTP 302"}, false},
		"throttled twice":                 {[]fakeaws.Fault{fakeaws.Throttle(), fakeaws.Throttle()}, []string{"ThrottlingException"}, true},
		"down twice":                      {[]fakeaws.Fault{fakeaws.Unavailable(), fakeaws.Internal()}, []string{"HTTP 500"}, true},
		"not allowed": {
			[]fakeaws.Fault{fakeaws.Refuse(400, "AccessDeniedException", "User "+canary+" is not authorized")}, []string{"AccessDenied", "kms:Decrypt"}, false,
		},
		"a code with an escape sequence": {[]fakeaws.Fault{fakeaws.Refuse(400, "\x1b[2J"+strings.Repeat("x", 500), "")}, []string{`\x1b[2J`}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _, _, all := fakes(t)
			for store, b := range all {
				must(t, b.admin.create(t.Context(), "prod/db", canary))
				p := b.provider(t, "prod/db")
				server.Inject(operation(store), test.faults...)
				refused(t, p, append(test.words, "prod/db")...)
				server.Inject(operation(store), test.faults...)
				_, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
				if errors.Is(err, creds.ErrOutage) != test.outage || len(err.Error()) > 1024 {
					t.Errorf("%s: %v", store, err)
				}
				if got, _ := issue(t, p); got != canary {
					t.Errorf("%s: afterwards %q", store, got)
				}
			}
		})
	}
}

func TestOneFailureIsMet(t *testing.T) {
	t.Parallel()
	server, _, _, all := fakes(t)
	for store, b := range all {
		must(t, b.admin.create(t.Context(), "db", canary))
		server.Inject(operation(store), fakeaws.Unavailable())
		before := server.Requests(operation(store))
		if got, _ := issue(t, b.provider(t, "db")); got != canary || server.Requests(operation(store)) != before+2 {
			t.Errorf("%s: %q after %d requests", store, got, server.Requests(operation(store))-before)
		}
	}
}

func TestAHangingServiceDoesNotHold(t *testing.T) {
	t.Parallel()
	server, _, _, all := fakes(t)
	for store, b := range all {
		ctx, cancel := context.WithCancel(t.Context())
		server.Inject(operation(store), fakeaws.Hang(cancel))
		_, err := b.provider(t, "db").Issue(ctx, creds.Spec{}, creds.Request{})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", store, err)
		}
	}
}

func TestNobodyIsThere(t *testing.T) {
	t.Parallel()
	_, _, _, all := fakes(t)
	for _, b := range all {
		p := of(t, b.make("db", Region(fakeaws.Region), Credentials(b.config.Credentials), Endpoint("http://127.0.0.1:1"), atOnce))
		refused(t, p, "not reached", "connection refused")
	}
}

// Case 20.
func TestKeyDisabled(t *testing.T) {
	t.Parallel()
	_, manager, parameters, all := fakes(t)
	manager.DisableKey(true)
	parameters.DisableKey(true)
	for store, b := range all {
		must(t, b.admin.create(t.Context(), "db", canary))
		refused(t, b.provider(t, "db"), "enable the key", map[string]string{"Manager": "DecryptionFailure", "Parameter": "InvalidKeyId"}[store])
	}
}

// Case 20: what is only pending is not used, whoever rotates.
func TestPendingIsNeverUsed(t *testing.T) {
	t.Parallel()
	_, _, _, all := fakes(t)
	b := all["Manager"]
	owner := b.admin.(managed)
	must(t, owner.create(t.Context(), "db", canary+" old"))
	p := b.provider(t, "db")
	one, err := owner.pending(t.Context(), "db", canary+" of one rotation")
	must(t, err)
	_, err = owner.pending(t.Context(), "db", canary+" of another")
	must(t, err)
	if got, _ := issue(t, p); got != canary+" old" {
		t.Fatalf("%q", got)
	}
	must(t, owner.finish(t.Context(), "db", one))
	if got, version := issue(t, p); got != canary+" of one rotation" || version != one {
		t.Errorf("%q", got)
	}
}

// An answer about a version with another label, from a server that ignores the request.
func TestAnswerOfAPendingVersion(t *testing.T) {
	t.Parallel()
	server, _, _, all := fakes(t)
	p := all["Manager"].provider(t, "db")
	arn := "arn:aws:secretsmanager:" + fakeaws.Region + ":" + fakeaws.Account + ":secret:db-abcdef"
	say := func(name, rest string) fakeaws.Fault {
		return fakeaws.Say(`{"ARN":"` + arn + `","Name":"` + name + `","VersionId":"v","SecretString":"` + canary + `"` + rest + `}`)
	}
	server.Inject("GetSecretValue", say("db", `,"VersionStages":["AWSPENDING"]`))
	refused(t, p, "AWSCURRENT")
	server.Inject("GetSecretValue", say("other", `,"VersionStages":["AWSCURRENT"]`))
	refused(t, p, "another secret")
	server.Inject("GetSecretValue", say("db", `,"VersionStages":["AWSCURRENT"],"SecretBinary":"YQ=="`))
	refused(t, p, "two secrets")
	server.Inject("GetSecretValue", say("db", `,"VersionStages":["AWSPENDING","AWSCURRENT"]`)) // as it is just after a rotation
	if got, _ := issue(t, p); got != canary {
		t.Errorf("%q", got)
	}
}

// Case 20: two replicas, one of them slower to notice.
func TestTwoReplicas(t *testing.T) {
	t.Parallel()
	_, _, _, all := fakes(t)
	for store, b := range all {
		must(t, b.admin.create(t.Context(), "db", canary+" 0"))
		var wg sync.WaitGroup
		for range 2 {
			p := b.provider(t, "db")
			wg.Go(func() {
				last := ""
				for range 50 {
					m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
					if err != nil {
						t.Errorf("%s: %v", store, err)
						return
					}
					got := string(m.Secret.Reveal())
					if !strings.HasPrefix(got, canary) || got < last {
						t.Errorf("%s: %q after %q", store, got, last)
					}
					last = got
				}
			})
		}
		for i := 1; i < 10; i++ {
			if err := b.admin.rotate(t.Context(), "db", fmt.Sprintf("%s %d", canary, i)); err != nil {
				t.Errorf("%s: %v", store, err)
			}
		}
		wg.Wait()
	}
}

// Case 21.
func TestParameterThatIsNotEncrypted(t *testing.T) {
	t.Parallel()
	server, _, _, all := fakes(t)
	p := all["Parameter"].provider(t, "db")
	say := func(kind, value string) fakeaws.Fault {
		return fakeaws.Say(`{"Parameter":{"Name":"db","ARN":"arn:aws:ssm:` + fakeaws.Region + ":" + fakeaws.Account + `:parameter/db","Type":"` + kind + `","Value":"` + value + `","Version":1}}`)
	}
	for _, kind := range []string{"String", "StringList", ""} {
		server.Inject("GetParameter", say(kind, canary))
		refused(t, p, "make it a SecureString")
	}
	server.Inject("GetParameter", say("SecureString", "kms:alias/aws/ssm:"+canary))
	refused(t, p, "was not decrypted")
	server.Inject("GetParameter", say("SecureString", "AQICAHfakeCiphertext"))
	refused(t, p, "was not decrypted")
	server.Inject("GetParameter", say("SecureString", ""))
	refused(t, p, "empty")
	server.Inject("GetParameter", say("SecureString", canary))
	if got, _ := issue(t, p); got != canary {
		t.Errorf("%q", got)
	}
}

func TestWrongPlace(t *testing.T) {
	t.Parallel()
	_, _, _, all := fakes(t)
	for _, b := range all {
		must(t, b.admin.create(t.Context(), "db", canary))
		refused(t, b.provider(t, "db", Accounts("999999999999")), "account "+fakeaws.Account, "wrong account")
		refused(t, b.provider(t, "db", Region("us-east-1")), "InvalidSignatureException") // of the fake's own region
	}
}

func TestBaseCredentialsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	_, _, _, all := fakes(t)
	ended := fakeaws.Keys
	ended.CanExpire, ended.Expires = true, time.Now().Add(-time.Hour)
	for _, b := range all {
		must(t, b.admin.create(t.Context(), "db", canary))
		for word, keys := range map[string]awssdk.CredentialsProvider{
			"aws.Base: its source failed": awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
				return awssdk.Credentials{}, errors.New("the token is " + canary)
			}),
			"ended":                       awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) { return ended, nil }),
			"UnrecognizedClientException": credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", canary, ""),
			"InvalidSignatureException":   credentials.NewStaticCredentialsProvider(fakeaws.Keys.AccessKeyID, canary, fakeaws.Keys.SessionToken),
		} {
			refused(t, b.provider(t, "db", Credentials(keys)), word)
		}
	}
}

// Case 23: whatever formats a provider sees which secret it is for, and no credentials.
func TestAProviderDoesNotPrint(t *testing.T) {
	t.Parallel()
	_, _, _, all := fakes(t)
	for _, b := range all {
		p := b.provider(t, "db", Credentials(credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", canary, "")))
		said := ""
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
			said += fmt.Sprintf(verb, p) + fmt.Sprintf(verb, creds.Provider(p)) + fmt.Sprintf(verb, struct{ p *provider }{p})
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("p", "p", p)
		secretFree(t, said+log.String())
		if !strings.Contains(said, " db in "+fakeaws.Region) {
			t.Error(said)
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	_, _, _, all := fakes(t)
	for _, b := range all {
		for _, status := range []int{301, 302, 303, 307, 308} {
			elsewhere := false
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				elsewhere = elsewhere || r.URL.Host != "127.0.0.1:1"
				return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{"Location": {"https://elsewhere.example/"}}, Request: r}, nil
			})
			p := of(t, b.make("db", Region(fakeaws.Region), Credentials(b.config.Credentials), Endpoint("http://127.0.0.1:1"), Client(&http.Client{Transport: transport})))
			refused(t, p, fmt.Sprintf("HTTP %d", status))
			if elsewhere {
				t.Errorf("%d: the request was repeated elsewhere", status)
			}
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestSizes(t *testing.T) {
	t.Parallel()
	_, _, _, all := fakes(t)
	owner := all["Manager"].admin.(managed)
	for name, value := range map[string]string{
		"64 KiB":                      strings.Repeat("x", MaxSecret),
		"64 KiB of what JSON escapes": strings.Repeat("\x01", MaxSecret),
	} {
		id := strings.ReplaceAll(name, " ", "-")
		must(t, owner.create(t.Context(), id, value))
		if got, _ := issue(t, all["Manager"].provider(t, id)); got != value {
			t.Errorf("%s: %d bytes came back", name, len(got))
		}
	}
}

func TestMaterial(t *testing.T) {
	t.Parallel()
	_, _, _, all := fakes(t)
	for store, b := range all {
		must(t, b.admin.create(t.Context(), "db", `{"username":"application","password":"`+canary+`","engine":"postgresql","apiKey":"`+canary+`2","pin":"1234","port":5432,"deep":{"keys":["`+canary+`3",{"k":"`+canary+`4"}]}}`))
		p := b.provider(t, "db", Poll(2*time.Minute))
		p.now = func() time.Time { return start }
		m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
		must(t, err)
		var parts []string
		for _, part := range m.Parts {
			parts = append(parts, string(part.Reveal()))
		}
		slices.Sort(parts)
		if !slices.Equal(parts, []string{canary, canary + "2", canary + "3", canary + "4"}) {
			t.Errorf("%s: parts %q", store, parts)
		}
		if !m.Expires.Equal(start.Add(2*time.Minute)) || m.Record.KeyID != m.Version || m.Public["request"] == "" ||
			!strings.HasPrefix(m.Record.Role, "arn:aws:") || !strings.Contains(m.Record.Provider, ":Get") {
			t.Errorf("%s: %+v %v", store, m.Record, m.Public)
		}
		secretFree(t, fmt.Sprintf("%+v", m))
	}
}
