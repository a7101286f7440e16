package draft

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
)

// Statement returns the statement in a file, which holds it as it is or in signed
// bundles; and what each bundle says of its signer. No signature is verified: it is for
// those who want to read, or to add one.
func Statement(ctx context.Context, file []byte) (statement []byte, said []*envelope.Bundle, err error) {
	if !bytes.Contains(file, []byte(`"dsseEnvelope"`)) {
		return file, nil, nil
	}
	read := &reader{}
	signed, err := envelope.Open(ctx, file, read)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the bundles: %w", err)
	}
	return signed[0].Payload, read.bundles, nil
}

// A reader is a verifier that believes everybody. What it lets pass is shown, or signed
// by somebody who has looked at it, and never trusted.
type reader struct{ bundles []*envelope.Bundle }

func (*reader) Describe() string { return "everybody" }

func (r *reader) Verify(_ context.Context, bundle []byte) (*envelope.Verified, error) {
	b, err := envelope.Parse(bundle)
	if err != nil {
		return nil, err
	}
	r.bundles = append(r.bundles, b)
	sum := sha256.Sum256(bundle)
	return &envelope.Verified{PayloadType: b.PayloadType, Payload: b.Payload, Signer: "not verified", ID: hex.EncodeToString(sum[:])}, nil
}
