package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
)

// approve is the reviewer: it signs the manifest with a key that the server never sees, as
// "mcpsec sign" does, and leaves the public half.
func approve(ctx context.Context, dir layout) error {
	statement, err := os.ReadFile(dir.statement())
	if err != nil {
		return err
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	signer, err := envelope.SignWith(private)
	if err != nil {
		return err
	}
	bundle, err := signer.Sign(ctx, envelope.PayloadType, statement)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(dir.manifest(), bundle, 0o600),
		os.WriteFile(dir.release(), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600),
	)
}
