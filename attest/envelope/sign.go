package envelope

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

type signer struct {
	private crypto.Signer
	key     Key
}

// SignWith returns a signer with a private key: Ed25519, or ECDSA on P-256. It may
// live elsewhere, in a key management service for instance, as long as it signs as
// the standard library's keys do. Bundles name the key by the hint that cosign uses, and
// carry no log entry.
func SignWith(private crypto.Signer) (Signer, error) {
	if private == nil {
		return nil, fmt.Errorf("%w: there is no private key", ErrConfig)
	}
	key, err := NewKey(private.Public())
	if err != nil {
		return nil, err
	}
	return &signer{private, key}, nil
}

func (s *signer) Describe() string { return "key " + s.key.ID() }

func (s *signer) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	switch err := ctx.Err(); {
	case err != nil:
		return nil, fmt.Errorf("envelope: signing: %w", err)
	case payloadType == "" || len(payload) == 0:
		return nil, errors.New("envelope: signing: the payload or its type is empty")
	}
	message := PAE(payloadType, payload)
	input, hash := message, crypto.Hash(0) // Ed25519 hashes by itself
	if _, ok := s.key.public.(*ecdsa.PublicKey); ok {
		digest := sha256.Sum256(message)
		input, hash = digest[:], crypto.SHA256
	}
	sig, err := s.private.Sign(rand.Reader, input, hash)
	if err != nil {
		return nil, fmt.Errorf("envelope: signing: %w", err)
	}
	if !s.key.verify(message, sig) {
		return nil, errors.New("envelope: signing: the key made a signature that its public key does not verify: a remote key must return ASN.1 DER for ECDSA")
	}
	return s.bundle(payloadType, payload, sig)
}

func (s *signer) bundle(payloadType string, payload, sig []byte) ([]byte, error) {
	encode := base64.StdEncoding.EncodeToString
	bundle, err := json.Marshal(bundleJSON{
		MediaType: MediaType,
		Material:  &materialJSON{PublicKey: &hintJSON{s.key.hint()}},
		Envelope:  &envelopeJSON{encode(payload), payloadType, []signatureJSON{{Sig: encode(sig)}}},
	})
	if err != nil {
		return nil, fmt.Errorf("envelope: signing: %w", err)
	}
	if _, err := Parse(bundle); err != nil {
		return nil, fmt.Errorf("envelope: signing: %w", err)
	}
	return bundle, nil
}
