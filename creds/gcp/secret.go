package gcp

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Keep is how long a secret is kept before it is read again, so that a rotated one
// counts from then on.
const Keep = 5 * time.Minute

// Secret returns a provider of a version of a secret in Secret Manager:
// "projects/P/secrets/S/versions/V", also with "locations/L" after the project. V is
// "latest" or a number; a number is the safer choice. The plan is account and name:
// whoever is granted the same shares what was read.
func Secret(conf Config, name string) creds.Provider {
	s := &secret{cloud: newCloud(conf), name: name}
	if s.fault == nil {
		s.plan = "secret " + rest.Fingerprint(s.account.email(), name)
	}
	return s
}

type secret struct {
	*cloud
	name, plan string
}

var (
	_ creds.Checker   = (*secret)(nil)
	_ creds.Planner   = (*secret)(nil)
	_ creds.Describer = (*secret)(nil)
	_ creds.Prober    = (*secret)(nil)
)

var names = regexp.MustCompile(`^projects/([a-z0-9:.-]{1,64})/(locations/[a-z0-9-]{1,32}/)?secrets/([A-Za-z0-9_-]{1,255})/versions/(latest|[1-9][0-9]{0,9})$`)

// versions takes the answer's name apart: Google puts the number of the project in
// place of its name.
var versions = regexp.MustCompile(`^projects/([a-z0-9:.-]{1,64})/(locations/[a-z0-9-]{1,32}/)?secrets/([A-Za-z0-9_-]{1,255})/versions/([1-9][0-9]{0,9})$`)

func (s *secret) Check(spec creds.Spec) error {
	faults := []error{s.check(), rest.NoParams(spec)}
	if !names.MatchString(s.name) {
		faults = append(faults, fmt.Errorf("%.120q is not \"projects/P/secrets/S/versions/V\"", s.name))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("gcp: %w", err)
	}
	return nil
}

func (s *secret) Plan(creds.Spec, creds.Request) (string, error) {
	if s.fault != nil {
		return "", fmt.Errorf("gcp: %w", s.fault)
	}
	return s.plan, nil
}

func (s *secret) Issue(ctx context.Context, spec creds.Spec, _ creds.Request) (creds.Material, error) {
	if err := s.Check(spec); err != nil {
		return creds.Material{}, err
	}
	asked := s.now()
	b, err := s.account.token(ctx, s.cloud, []string{platformScope}, time.Minute*5)
	if err != nil {
		return creds.Material{}, wrap("reading "+s.name, err)
	}
	defer clear(b.token)
	var answer secretAnswer
	err = s.secrets.Do(ctx, rest.Request{
		Method: http.MethodGet, Path: "/v1/" + s.name + ":access", Code: status,
		Header: http.Header{"Authorization": {"Bearer " + string(b.token)}},
	}, &answer)
	defer clear(answer.Payload.Data)
	if err != nil {
		return creds.Material{}, wrap("reading "+s.name, err)
	}
	m, err := s.accept(answer)
	if err != nil {
		return creds.Material{}, wrap("reading "+s.name, err)
	}
	m.Expires = asked.Add(Keep)
	return m, nil
}

type secretAnswer struct {
	Name    string `json:"name"`
	Payload struct {
		Data  rest.Secret `json:"data"`
		CRC32 *string     `json:"dataCrc32c"`
	} `json:"payload"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// accept checks that the answer is about what was asked for, and whole.
func (s *secret) accept(answer secretAnswer) (creds.Material, error) {
	asked, got := names.FindStringSubmatch(s.name), versions.FindStringSubmatch(answer.Name)
	if asked == nil || got == nil || !sameProject(asked[1], got[1]) || got[2] != asked[2] || got[3] != asked[3] || asked[4] != "latest" && got[4] != asked[4] {
		return creds.Material{}, errors.New("the answer is about another secret or version")
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(answer.Payload.Data)))
	defer clear(data)
	n, err := base64.StdEncoding.Strict().Decode(data, answer.Payload.Data)
	if err != nil || n == 0 || n > creds.MaxFile {
		return creds.Material{}, fmt.Errorf("the secret is empty, larger than %d bytes or not base64", creds.MaxFile)
	}
	if answer.Payload.CRC32 == nil || *answer.Payload.CRC32 != strconv.FormatUint(uint64(crc32.Checksum(data[:n], castagnoli)), 10) {
		return creds.Material{}, errors.New("the secret was damaged on its way: its checksum is missing or wrong")
	}
	return creds.Material{
		Secret: creds.NewValue(data[:n]), Version: got[4],
		Record: mcpsec.Credential{Provider: "gcp", Role: s.account.email(), KeyID: answer.Name},
	}, nil
}

// sameProject compares projects as far as can be known: which number a name has, it
// cannot.
func sameProject(asked, got string) bool {
	return got == asked || number.MatchString(got) && !number.MatchString(asked)
}

var number = regexp.MustCompile(`^\d+$`)

func (s *secret) Describe(creds.Spec, creds.Request) (creds.Access, error) {
	if s.fault != nil {
		return creds.Access{}, fmt.Errorf("gcp: %w", s.fault)
	}
	a := creds.Access{
		Identity: s.account.email(), Lifetime: Keep,
		Rules: []creds.Rule{{Actions: []string{"secretmanager.versions.access"}, Resources: []string{s.name}}},
	}
	if strings.HasSuffix(s.name, "/latest") {
		a.Notes = append(a.Notes, "Whoever may add a version decides what the tool gets: pin a number if that matters.")
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
