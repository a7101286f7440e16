package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// DefaultKeep is how long a secret without an end of its own is kept before it is read
// again, so that a rotated one counts from then on.
const DefaultKeep = 5 * time.Minute

// A KV names a secret of the key-value store, version 2.
type KV struct {
	Mount string // such as "secret"
	Path  string // below the mount, without "data"
	// Field is the member that is the secret, a string. Empty means all of them, as one
	// JSON document.
	Field   string
	Version int           // of the secret; zero means the latest
	Keep    time.Duration // zero means [DefaultKeep], at most a day
}

// KV returns a provider of a secret of the key-value store. Everybody who is granted it
// shares what was read: the plan is the mount, path, field and version.
func (s *Server) KV(k KV) creds.Provider {
	if k.Keep == 0 {
		k.Keep = DefaultKeep
	}
	plan := "kv " + rest.Fingerprint(s.conf.Namespace, k.Mount, k.Path, k.Field, strconv.Itoa(k.Version))
	return &kv{s: s, KV: k, plan: plan, leave: s.join()}
}

type kv struct {
	KV
	s     *Server
	plan  string
	leave func() error
}

var (
	_ creds.Checker   = (*kv)(nil)
	_ creds.Planner   = (*kv)(nil)
	_ creds.Describer = (*kv)(nil)
	_ creds.Prober    = (*kv)(nil)
)

func (k *kv) Check(spec creds.Spec) error {
	faults := []error{k.s.check(spec), checkPath("KV.Mount", k.Mount), checkPath("KV.Path", k.Path)}
	if len(k.Field) > 256 {
		faults = append(faults, errors.New("KV.Field is longer than 256 bytes"))
	}
	if k.Version < 0 {
		faults = append(faults, fmt.Errorf("KV.Version is %d: a version is positive, zero means the latest", k.Version))
	}
	if k.Keep < time.Second || k.Keep > rest.MaxLife {
		faults = append(faults, fmt.Errorf("KV.Keep is %v: give 1s to %v", k.Keep, rest.MaxLife))
	}
	return errors.Join(faults...)
}

func (k *kv) Plan(creds.Spec, creds.Request) (string, error) { return k.plan, nil }

func (k *kv) api() string { return k.Mount + "/data/" + k.Path }

func (k *kv) Issue(ctx context.Context, _ creds.Spec, _ creds.Request) (creds.Material, error) {
	asked := k.s.now()
	var answer struct {
		Data *struct {
			Data     json.RawMessage `json:"data"`
			Metadata struct {
				Version   int  `json:"version"`
				Destroyed bool `json:"destroyed"`
			} `json:"metadata"`
		} `json:"data"`
	}
	r := rest.Request{Method: http.MethodGet, Path: "/v1/" + k.api()}
	if k.Version != 0 {
		r.Query = url.Values{"version": {strconv.Itoa(k.Version)}}
	}
	_, err := k.s.ask(ctx, r, &answer)
	if answer.Data != nil {
		defer clear(answer.Data.Data)
	}
	switch {
	case err != nil:
		return creds.Material{}, explain("reading "+k.api(), err)
	case answer.Data == nil || answer.Data.Metadata.Version <= 0:
		return creds.Material{}, fmt.Errorf("vault: reading %s: the answer has no version: is %s a key-value store of version 2?", k.api(), k.Mount)
	case k.Version != 0 && answer.Data.Metadata.Version != k.Version:
		return creds.Material{}, fmt.Errorf("vault: reading %s: version %d was asked for and %d came", k.api(), k.Version, answer.Data.Metadata.Version)
	case answer.Data.Metadata.Destroyed:
		return creds.Material{}, fmt.Errorf("vault: reading %s: version %d is destroyed", k.api(), answer.Data.Metadata.Version)
	}
	m, err := material(answer.Data.Data, k.Field)
	if err != nil {
		return creds.Material{}, fmt.Errorf("vault: reading %s: %w", k.api(), err)
	}
	m.Version = strconv.Itoa(answer.Data.Metadata.Version)
	m.Expires = asked.Add(k.Keep)
	m.Record = mcpsec.Credential{Provider: "vault", Role: k.s.conf.Auth.describe(), KeyID: k.api() + "@" + m.Version}
	return m, nil
}

// material makes a secret of the data of an answer: one field, or all of them.
func material(data json.RawMessage, field string) (m creds.Material, err error) {
	var fields map[string]json.RawMessage
	if err := rest.Decode(data, &fields); err != nil || len(fields) == 0 {
		return m, errors.New("the answer holds no data")
	}
	defer func() {
		for _, raw := range fields {
			clear(raw)
		}
	}()
	if field != "" {
		raw, ok := fields[field]
		var secret rest.Secret
		if !ok || secret.UnmarshalJSON(raw) != nil || len(secret) == 0 {
			return m, fmt.Errorf("it has no field %q that is a string with content", field)
		}
		m.Secret = secret.Value()
		return m, nil
	}
	m.Secret = creds.NewValue(data)
	delete(fields, "username")
	for _, raw := range fields {
		m.Parts = parts(m.Parts, raw)
	}
	if len(m.Parts) > maxParts {
		wipe(m)
		return creds.Material{}, fmt.Errorf("it has more than %d values: name a Field", maxParts)
	}
	return m, nil
}

const (
	// minNumber is how many characters a number has that could be a secret. Shorter
	// ones, true, false and null are none.
	minNumber = 6
	// maxParts bounds the values of one document.
	maxParts = 1024
)

// parts adds the strings in a value, at any depth, and the long numbers. One more than
// maxParts is enough to know that there are too many.
func parts(all []creds.Value, value json.RawMessage) []creds.Value {
	var part rest.Secret
	switch value = bytes.TrimSpace(value); {
	case len(value) == 0 || len(all) > maxParts:
	case value[0] == '"':
		if part.UnmarshalJSON(value) == nil && len(part) > 0 {
			all = append(all, part.Value())
		}
	case value[0] == '{':
		var fields map[string]json.RawMessage
		if json.Unmarshal(value, &fields) == nil { // checked before
			for _, each := range fields {
				all = parts(all, each)
				clear(each)
			}
		}
	case value[0] == '[':
		var items []json.RawMessage
		if json.Unmarshal(value, &items) == nil {
			for _, each := range items {
				all = parts(all, each)
				clear(each)
			}
		}
	case len(value) >= minNumber:
		all = append(all, creds.NewValue(value))
	}
	return all
}

func (k *kv) Describe(creds.Spec, creds.Request) (creds.Access, error) {
	return k.s.access(k.api(), k.Keep), nil
}

// Probe reads the secret, forgets it, and asks what the login may do with its path.
func (k *kv) Probe(ctx context.Context, spec creds.Spec) (creds.Access, error) {
	m, err := k.Issue(ctx, spec, creds.Request{})
	if err != nil {
		return creds.Access{}, err
	}
	wipe(m)
	return k.s.probe(ctx, k.api(), k.Keep)
}

func (k *kv) Close() error { return k.leave() }

func wipe(m creds.Material) {
	m.Secret.Close()
	for _, part := range m.Parts {
		part.Close()
	}
}
