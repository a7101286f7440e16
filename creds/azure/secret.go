package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const (
	// Keep is how long a secret is kept before it is read again, so that a rotated one
	// counts from then on.
	Keep = 5 * time.Minute

	apiVersion = "7.4"
)

// Secret returns a provider of a secret in a Key Vault. The vault is its name, without
// domain. The version is 32 hexadecimal digits, or empty for the
// current one. The plan is tenant, application, vault, name and version: whoever is
// granted the same shares what was read.
func Secret(app Application, vault, name, version string) creds.Provider {
	s := &secret{directory: newDirectory(app), vault: vault, name: name, version: version}
	if !vaults.MatchString(vault) {
		s.fault = errors.Join(s.fault, fmt.Errorf("%.40q is not the name of a vault", vault))
		return s
	}
	if !domains.MatchString(s.app.VaultDomain) {
		s.fault = errors.Join(s.fault, fmt.Errorf("Application.VaultDomain %.40q is none of Azure's", s.app.VaultDomain))
		return s
	}
	return s.at("https://" + vault + "." + s.app.VaultDomain)
}

type secret struct {
	*directory
	vault, name, version string
	plan                 string
	keys                 *rest.Client
}

// at says where the vault is.
func (s *secret) at(address string) *secret {
	var err error
	s.keys, err = rest.New(rest.Config{URL: address, Roots: s.app.Roots, InsecureLoopback: s.app.InsecureLoopback, Now: func() time.Time { return s.now() }})
	s.fault = errors.Join(s.fault, err)
	s.plan = "secret " + rest.Fingerprint(s.endpoint, s.app.ClientID, s.vault, s.name, s.version)
	return s
}

var (
	_ creds.Checker   = (*secret)(nil)
	_ creds.Planner   = (*secret)(nil)
	_ creds.Describer = (*secret)(nil)
	_ creds.Prober    = (*secret)(nil)
)

var (
	vaults   = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$`)
	domains  = regexp.MustCompile(`^vault\.(azure\.net|azure\.cn|usgovcloudapi\.net)$`)
	names    = regexp.MustCompile(`^[a-zA-Z0-9-]{1,127}$`)
	versions = regexp.MustCompile(`^([0-9a-f]{32})?$`)
)

func (s *secret) Check(spec creds.Spec) error {
	faults := []error{s.check(), rest.NoParams(spec)}
	if !names.MatchString(s.name) {
		faults = append(faults, fmt.Errorf("%.40q is not the name of a secret", s.name))
	}
	if !versions.MatchString(s.version) {
		faults = append(faults, fmt.Errorf("version %.40q is not 32 hexadecimal digits", s.version))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("azure: %w", err)
	}
	return nil
}

func (s *secret) Plan(creds.Spec, creds.Request) (string, error) {
	if s.fault != nil {
		return "", fmt.Errorf("azure: %w", s.fault)
	}
	return s.plan, nil
}

// place is the secret's path; an empty version is the current one.
func (s *secret) place() string { return strings.TrimSuffix("/secrets/"+s.name+"/"+s.version, "/") }

func (s *secret) Issue(ctx context.Context, spec creds.Spec, _ creds.Request) (creds.Material, error) {
	if err := s.Check(spec); err != nil {
		return creds.Material{}, err
	}
	what := "reading " + s.vault + s.place()
	token, _, err := s.token(ctx, "https://"+s.app.VaultDomain+"/.default")
	if err != nil {
		return creds.Material{}, wrap(what, err)
	}
	defer clear(token)
	var answer secretAnswer
	err = s.keys.Do(ctx, rest.Request{
		Method: http.MethodGet, Path: s.place(), Query: url.Values{"api-version": {apiVersion}}, Code: vaultCode,
		Header: http.Header{"Authorization": {"Bearer " + string(token)}},
	}, &answer)
	if err != nil {
		clear(answer.Value)
		return creds.Material{}, wrap(what, err)
	}
	m, err := s.accept(answer)
	if err != nil {
		return creds.Material{}, wrap(what, err)
	}
	return m, nil
}

type secretAnswer struct {
	Value      rest.Secret `json:"value"`
	ID         string      `json:"id"`
	Attributes struct {
		Enabled   *bool  `json:"enabled"`
		Expires   *int64 `json:"exp"`
		NotBefore *int64 `json:"nbf"`
	} `json:"attributes"`
}

// accept checks that the answer is about what was asked for, and that it is in force.
// Key Vault itself does not refuse a secret whose time is over.
func (s *secret) accept(answer secretAnswer) (creds.Material, error) {
	defer clear(answer.Value)
	now := s.now()
	version, err := s.versionOf(answer.ID)
	if err != nil {
		return creds.Material{}, err
	}
	at := answer.Attributes
	switch {
	case at.Enabled == nil || !*at.Enabled:
		return creds.Material{}, errors.New("the secret is disabled")
	case at.NotBefore != nil && now.Before(time.Unix(*at.NotBefore, 0)):
		return creds.Material{}, errors.New("the secret is not in force yet")
	case at.Expires != nil && !now.Before(time.Unix(*at.Expires, 0)):
		return creds.Material{}, errors.New("the secret has expired: add a new version")
	case len(answer.Value) == 0 || len(answer.Value) > creds.MaxFile:
		return creds.Material{}, fmt.Errorf("the secret is empty or larger than %d bytes", creds.MaxFile)
	}
	expires := now.Add(Keep)
	if at.Expires != nil && time.Unix(*at.Expires, 0).Before(expires) {
		expires = time.Unix(*at.Expires, 0)
	}
	return creds.Material{
		Secret: answer.Value.Value(), Expires: expires, Version: version,
		Record: mcpsec.Credential{Provider: "azure", Role: s.app.ClientID, KeyID: s.vault + "/secrets/" + s.name + "/" + version},
	}, nil
}

// versionOf takes the version out of the id of an answer: "https://HOST/secrets/NAME/VERSION".
func (s *secret) versionOf(id string) (string, error) {
	u, err := url.Parse(id)
	if err != nil || !strings.EqualFold(u.Host, s.keys.Host()) {
		return "", errors.New("the answer is about a secret of another vault")
	}
	version, ok := strings.CutPrefix(strings.ToLower(u.Path), strings.ToLower("/secrets/"+s.name+"/"))
	if !ok || version == "" || !versions.MatchString(version) || s.version != "" && version != s.version {
		return "", errors.New("the answer is about another secret or version")
	}
	return version, nil
}

// vaultCodes are the codes of Key Vault that tell an operator what to do.
var vaultCodes = []string{
	"Unauthorized", "Forbidden", "ForbiddenByPolicy", "ForbiddenByRbac", "ForbiddenByFirewall", "SecretNotFound", "SecretDisabled",
	"BadParameter", "Throttled", "VaultNotFound", "AKV10032", "AccessDenied",
}

// vaultCode finds the code in the body of a refusal, the inner one if there is one.
func vaultCode(body []byte) string {
	var answer struct {
		Error struct {
			Code  json.RawMessage `json:"code"`
			Inner struct {
				Code json.RawMessage `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	if rest.Decode(body, &answer) != nil {
		return ""
	}
	for _, found := range []json.RawMessage{answer.Error.Inner.Code, answer.Error.Code} {
		for _, code := range vaultCodes {
			if string(found) == `"`+code+`"` {
				return code
			}
		}
	}
	return ""
}

func (s *secret) Describe(creds.Spec, creds.Request) (creds.Access, error) {
	a := creds.Access{
		Identity: "application " + s.app.ClientID + " of tenant " + s.app.Tenant, Lifetime: Keep,
		Rules: []creds.Rule{{Actions: []string{"secrets/get"}, Resources: []string{s.vault + s.place()}}},
	}
	if s.version == "" {
		a.Notes = append(a.Notes, "Whoever may set the secret decides what the tool gets: pin a version if that matters.")
	}
	return a, nil
}

// Probe reads the secret and forgets it.
func (s *secret) Probe(ctx context.Context, spec creds.Spec) (creds.Access, error) {
	m, err := s.Issue(ctx, spec, creds.Request{})
	m.Secret.Close()
	if err != nil {
		return creds.Access{}, err
	}
	return s.Describe(spec, creds.Request{})
}

// Close closes connections that are not in use.
func (s *secret) Close() error {
	if s.keys != nil {
		s.keys.Close()
	}
	return s.directory.Close()
}
