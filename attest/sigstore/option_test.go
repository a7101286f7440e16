package sigstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/attest/internal/conformance"
)

const (
	subject = "builder@example.com"
	issuer  = "https://issuer.example"
)

func TestOptionsThatTrustNobodyOrAnybody(t *testing.T) {
	t.Parallel()
	root, id := TrustedRoot(conformance.New(t).Root()), Identity(subject, issuer)
	for name, c := range map[string]struct {
		opts []Option
		why  string
	}{
		"neg 30: no identity":        {[]Option{root}, "give one Identity"},
		"neg 30: empty identity":     {[]Option{root, Identity("", "")}, "needs a subject and an issuer"},
		"neg 30: no issuer":          {[]Option{root, Identity(subject, "")}, "needs a subject and an issuer"},
		"neg 30: no subject":         {[]Option{root, Identity("", issuer)}, "needs a subject and an issuer"},
		"two identities":             {[]Option{root, id, id}, "envelope.Threshold"},
		"space around the subject":   {[]Option{root, Identity(subject+"\n", issuer)}, "space"},
		"no root":                    {[]Option{id}, "no trusted root"},
		"two roots":                  {[]Option{id, root, root}, "twice"},
		"root and TUF":               {[]Option{id, root, TUF(Repository{Mirror: "https://tuf.example", Root: []byte("{}")})}, "twice"},
		"root file is missing":       {[]Option{id, TrustedRootFile(filepath.Join(t.TempDir(), "none"))}, "no such file"},
		"root file is a folder":      {[]Option{id, TrustedRootFile(t.TempDir())}, "regular"},
		"root is no JSON":            {[]Option{id, TrustedRoot([]byte("x"))}, "trusted root"},
		"root with a member twice":   {[]Option{id, TrustedRoot([]byte(`{"mediaType":"a","mediaType":"b"}`))}, "duplicate"},
		"root with unknown member":   {[]Option{id, TrustedRoot([]byte(`{"x":1}`))}, "trusted root"},
		"no log":                     {[]Option{id, root, TransparencyLogs(0)}, "1 to 8"},
		"nine logs":                  {[]Option{id, root, TransparencyLogs(9)}, "1 to 8"},
		"logs twice":                 {[]Option{id, root, TransparencyLogs(2), TransparencyLogs(1)}, "twice"},
		"no time":                    {[]Option{id, root, Timestamps(-1)}, "1 to 8"},
		"build that pins nothing":    {[]Option{id, root, From(Build{})}, "pins nothing"},
		"build twice":                {[]Option{id, root, From(Build{Runner: "a"}), From(Build{Runner: "b"})}, "twice"},
		"option is nil":              {[]Option{id, root, nil}, "nil"},
		"TUF over HTTP":              {[]Option{id, TUF(Repository{Mirror: "http://tuf.example", Root: []byte("{}")})}, "https"},
		"TUF without its first root": {[]Option{id, TUF(Repository{Mirror: "https://tuf.example"})}, "no root.json"},
		"TUF without mirror":         {[]Option{id, TUF(Repository{Root: []byte("{}")})}, "no URL"},
		"TUF with a password":        {[]Option{id, TUF(Repository{Mirror: "https://u:p@tuf.example", Root: []byte("{}")})}, "plain URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := Keyless(c.opts...)
			if v != nil || err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v, %v, want %q", v, err, c.why)
			}
		})
	}
}

// TestRootOfNothing is about roots that can be read and vouch for nobody.
func TestRootOfNothing(t *testing.T) {
	t.Parallel()
	l := conformance.New(t)
	bundle := conformance.JSON(t, l.Bundle(conformance.Recipe{
		Request: conformance.Request{Subjects: []string{subject}, Issuer: issuer}, Payload: []byte(`{"_type":"x"}`),
	}))
	v, err := Keyless(Identity(subject, issuer), TrustedRoot([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), bundle); err == nil || !strings.Contains(err.Error(), "names no certificate authority") {
		t.Errorf("%v", err)
	}
	if v, err = Keyless(Identity(subject, issuer), TrustedRoot(l.Root())); err != nil {
		t.Fatal(err)
	}
	if want := "keyless " + subject + " issued by " + issuer; v.Describe() != want {
		t.Errorf("describes itself as %s", v.Describe())
	}
	if _, err := v.Verify(t.Context(), bundle); err != nil {
		t.Errorf("the good bundle: %v", err)
	}
}

func TestServices(t *testing.T) {
	t.Parallel()
	good := Services{Fulcio: "https://fulcio.example", RekorV2: []string{"https://rekor.example"}, Timestamps: []string{"https://tsa.example/api/v1/timestamp"}}
	if _, err := Sign(good, TokenFile("token")); err != nil {
		t.Error(err)
	}
	if _, err := Sign(good, nil); err == nil {
		t.Error("signs without a token")
	}
	for why, change := range map[string]func(s *Services){
		"Fulcio: no URL":             func(s *Services) { s.Fulcio = "" },
		"Fulcio: the URL must be":    func(s *Services) { s.Fulcio = "http://fulcio.example" },
		"Fulcio: not the plain URL":  func(s *Services) { s.Fulcio = "https://fulcio.example?x=1" },
		"no transparency log":        func(s *Services) { s.RekorV2 = nil },
		"no timestamp authority":     func(s *Services) { s.Timestamps = nil },
		"Rekor: the URL must be":     func(s *Services) { s.RekorV2 = []string{"ftp://rekor.example"} },
		"authority: not the plain":   func(s *Services) { s.Timestamps = []string{"tsa.example"} },
		"Rekor: the URL must be htt": func(s *Services) { s.RekorV1 = []string{"http://localhost.evil.example"} },
	} {
		s := good
		change(&s)
		if _, err := Sign(s, TokenFile("token")); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
}

func TestSigningConfigFile(t *testing.T) {
	t.Parallel()
	const config = `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",
	"caUrls":[{"url":"https://fulcio.example","majorApiVersion":1,"validFor":{"start":"2024-01-01T00:00:00Z"},"operator":"a"}],
	"rekorTlogUrls":[{"url":"https://rekor1.example","majorApiVersion":1,"validFor":{"start":"2024-01-01T00:00:00Z"},"operator":"a"},
		{"url":"https://rekor2.example","majorApiVersion":2,"validFor":{"start":"2024-01-01T00:00:00Z"},"operator":"a"}],
	"rekorTlogConfig":{"selector":"ANY"},
	"tsaUrls":[{"url":"https://tsa.example","majorApiVersion":1,"validFor":{"start":"2024-01-01T00:00:00Z"},"operator":"a"}],
	"tsaConfig":{"selector":"ANY"}}`
	read := func(text string) (Services, error) {
		path := filepath.Join(t.TempDir(), "signing_config.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return SigningConfigFile(path)
	}
	s, err := read(config)
	if err != nil || s.Fulcio != "https://fulcio.example" || len(s.RekorV2) != 1 || len(s.RekorV1) != 0 || len(s.Timestamps) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for why, text := range map[string]string{
		"certificate authority": strings.Replace(config, `"start":"2024`, `"start":"2999`, 1),
		"must be https":         strings.Replace(config, "https://fulcio", "http://fulcio", 1),
		"duplicate":             strings.Replace(config, `"caUrls"`, `"caUrls":[],"caUrls"`, 1),
		"media type":            strings.Replace(config, "v0.2", "v0.1", 1),
		"no timestamp":          strings.Replace(config, `"tsaUrls":[{"url":"https://tsa.example","majorApiVersion":1,"validFor":{"start":"2024-01-01T00:00:00Z"},"operator":"a"}],`, "", 1),
		"selector":              strings.Replace(config, `"rekorTlogConfig":{"selector":"ANY"}`, `"rekorTlogConfig":{}`, 1),
	} {
		if s, err := read(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%+v, %v, want %q", s, err, why)
		}
	}
}
