package age

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Secret returns a provider of the named secret of the file. The plan is the file, its
// time of modification and size, and the name: whoever is granted the same shares what
// was read, and a file that was replaced counts from the next call on.
func (s *Store) Secret(name string) creds.Provider { return s.secret(name, false) }

// Whole returns a provider of all that is in the file, as one secret: of any kind, also
// binary. One line feed at the end is not part of it.
func (s *Store) Whole() creds.Provider { return s.secret("", true) }

func (s *Store) secret(name string, whole bool) *secret {
	p := &secret{store: s, name: name, whole: whole}
	p.plan = "age " + rest.Fingerprint(s.conf.Path, p.what()) + " "
	return p
}

type secret struct {
	store *Store
	name  string
	whole bool
	plan  string // without the state of the file
}

var (
	_ creds.Checker   = (*secret)(nil)
	_ creds.Planner   = (*secret)(nil)
	_ creds.Describer = (*secret)(nil)
	_ creds.Prober    = (*secret)(nil)
)

var names = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func (s *secret) Check(spec creds.Spec) error {
	faults := []error{s.store.check(), rest.NoParams(spec)}
	if !s.whole && !names.MatchString(s.name) {
		faults = append(faults, fmt.Errorf("secret %.80q: a name has 1 to 64 of A-Z a-z 0-9 _ . -", s.name))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("age: %w", err)
	}
	return nil
}

func (s *secret) Plan(creds.Spec, creds.Request) (string, error) {
	state, err := s.store.state()
	if err != nil {
		return "", fmt.Errorf("age: %w", err)
	}
	return s.plan + state, nil
}

func (s *secret) what() string {
	if s.whole {
		return "all of it"
	}
	return "secret " + s.name
}

func (s *secret) Issue(ctx context.Context, _ creds.Spec, _ creds.Request) (creds.Material, error) {
	content, version, err := s.store.decrypt(ctx)
	if err != nil {
		return creds.Material{}, fmt.Errorf("age: %w", err)
	}
	defer clear(content)
	m := creds.Material{Version: version, Record: mcpsec.Credential{Provider: "age", Role: s.store.conf.Path, KeyID: s.name}}
	if s.whole {
		m.Secret = creds.NewValue(trim(content))
		if m.Secret.Empty() {
			return creds.Material{}, fmt.Errorf("age: %s: it is empty", s.store.conf.Path)
		}
		return m, nil
	}
	all, err := open(content)
	defer wipe(all)
	if err != nil {
		return creds.Material{}, fmt.Errorf("age: %s: %w", s.store.conf.Path, err)
	}
	found := all[s.name]
	if len(found) == 0 {
		return creds.Material{}, fmt.Errorf("age: %s: it has no secret %q, or an empty one", s.store.conf.Path, s.name)
	}
	m.Secret = creds.NewValue(found)
	return m, nil
}

// open takes the secrets out of a decrypted file.
func open(content []byte) (map[string]rest.Secret, error) {
	var all map[string]rest.Secret
	if err := rest.Decode(content, &all); err != nil {
		wipe(all)
		return nil, fmt.Errorf("what is in it is not one JSON object of strings: %w", err)
	}
	return all, nil
}

func wipe(all map[string]rest.Secret) {
	for _, each := range all {
		clear(each)
	}
}

// Read returns all secrets of the file, to be changed and written again with [Write].
// The caller closes them.
func (s *Store) Read(ctx context.Context) (map[string]creds.Value, error) {
	content, _, err := s.decrypt(ctx)
	if err != nil {
		return nil, fmt.Errorf("age: %w", err)
	}
	defer clear(content)
	all, err := open(content)
	if err != nil {
		return nil, fmt.Errorf("age: %s: %w", s.conf.Path, err)
	}
	values := make(map[string]creds.Value, len(all))
	for name, each := range all {
		values[name] = each.Value()
	}
	return values, nil
}

func (s *secret) Describe(creds.Spec, creds.Request) (creds.Access, error) {
	return creds.Access{
		Identity: "age file " + s.store.conf.Path,
		Rules:    []creds.Rule{{Actions: []string{"read"}, Resources: []string{s.what()}}},
		Notes:    []string{"The secret does not expire: what it allows is decided where it is used."},
	}, nil
}

// Close closes the providers of what opens the file.
func (s *secret) Close() error {
	return errors.Join(rest.CloseSource(s.store.conf.Identity), rest.CloseSource(s.store.conf.Passphrase))
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

// trim takes one line feed off the end, and the carriage return before it.
func trim(b []byte) []byte {
	if b, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		return bytes.TrimSuffix(b, []byte("\r"))
	}
	return b
}
