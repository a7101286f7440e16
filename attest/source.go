package attest

import (
	"context"
	"errors"
	"fmt"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// A source is a manifest and what vouches for it.
type source struct {
	manifest *manifest.Manifest
	digest   string // of the statement
	signers  []*envelope.Verified
	unsigned bool
}

// read applies the options and loads the manifest.
func (a *Attestor) read(opts []Option) (err error) {
	for i, o := range opts {
		if o == nil {
			a.faults = append(a.faults, fmt.Errorf("option %d is nil", i+1))
			continue
		}
		o(&a.config)
	}
	if a.rehash == 0 {
		a.rehash = DefaultRehash
	}
	faults := a.faults
	if a.stateKey != "" && a.state == "" {
		faults = append(faults, errors.New("StateKey without State"))
	}
	if len(a.sources) != 1 {
		faults = append(faults, fmt.Errorf("%d manifests given: give New one of Manifest, Pinned and Unsigned, once", len(a.sources)))
		return errors.Join(faults...)
	}
	if a.source, err = a.sources[0](); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// Key trusts the signatures of one key, which is in a PEM file (PUBLIC KEY: Ed25519, or
// ECDSA on P-256). A file that holds none makes a verifier that trusts nobody and says
// why.
func Key(path string) envelope.Verifier {
	key, err := envelope.ReadKey(path)
	if err != nil {
		return untrusting{err}
	}
	return envelope.Keys(key)
}

// untrusting is a verifier that could not be made.
type untrusting struct{ why error }

func (u untrusting) Verify(context.Context, []byte) (*envelope.Verified, error) { return nil, u.why }
func (u untrusting) Describe() string                                           { return "nobody: " + u.why.Error() }

// readSigned reads and verifies a manifest file. How long verifiers may take, and that
// their panics are refusals, is the envelope's business.
//
//nolint:contextcheck,nolintlint // for its callers: a server starts once, outside of any call, and envelope.Open bounds the time
func readSigned(path string, trust envelope.Verifier) (s source, err error) {
	if trust == nil {
		return s, fmt.Errorf("manifest %s: no verifier: give Manifest the key or identity that signs it, or use Unsigned for development", path)
	}
	if u, ok := trust.(untrusting); ok {
		return s, u.why
	}
	file, err := regular.ReadFile(path, envelope.MaxFile)
	if err != nil {
		return s, fmt.Errorf("manifest: %w", err)
	}
	if s.signers, err = envelope.Open(context.Background(), file, trust); err != nil {
		return s, fmt.Errorf("manifest %s: %w", path, err)
	}
	statement := s.signers[0].Payload
	if s.manifest, err = manifest.Decode(statement); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	s.digest = manifest.Digest(statement)
	for _, signer := range s.signers {
		if err := signer.Covers(s.manifest.IssuedAt); err != nil {
			return s, fmt.Errorf("manifest %s: signed by %s: %w", path, signer.Signer, err)
		}
	}
	return s, nil
}

func readUnsigned(path string) (s source, err error) {
	file, err := regular.ReadFile(path, manifest.MaxSize)
	if err != nil {
		return s, fmt.Errorf("manifest: %w", err)
	}
	if s.manifest, err = manifest.Decode(file); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	s.digest, s.unsigned = manifest.Digest(file), true
	return s, nil
}

func readPinned(m *manifest.Manifest) (s source, err error) {
	if m == nil {
		return s, errors.New("Pinned(nil)")
	}
	statement, err := m.Encode()
	if err != nil {
		return s, err
	}
	if s.manifest, err = manifest.Decode(statement); err != nil { // a copy of its own
		return s, err
	}
	s.digest = manifest.Digest(statement)
	return s, nil
}
