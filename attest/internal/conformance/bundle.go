package conformance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/rekor/pkg/types/dsse"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1" // registers the kind of entry
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/internal/jcs"
)

// A Recipe is a bundle to make. The zero value, with a payload and a subject, is a
// good one of Rekor v2 with a timestamp.
type Recipe struct {
	Request
	PayloadType string // empty means in-toto
	Payload     []byte
	// V1 logs in Rekor v1 instead of v2.
	V1 bool
	// Logless and Timeless leave out the witness.
	Logless, Timeless bool
	// At is when the signature is logged and timestamped; zero means now.
	At time.Time
}

// Leaf makes a key and the certificate for it.
func (l *Lab) Leaf(r Request) (*ecdsa.PrivateKey, *x509.Certificate) {
	l.TB.Helper()
	if r.NotBefore.IsZero() {
		r.NotBefore = time.Now().Add(-time.Minute)
	}
	if r.NotAfter.IsZero() {
		r.NotAfter = r.NotBefore.Add(10 * time.Minute)
	}
	key := newKey(l.TB)
	return key, l.CA.issue(l.TB, r, key.Public(), l.CT)
}

// Bundle makes the bundle of a recipe.
func (l *Lab) Bundle(r Recipe) *protobundle.Bundle {
	l.TB.Helper()
	key, cert := l.Leaf(r.Request)
	if r.PayloadType == "" {
		r.PayloadType = envelope.PayloadType
	}
	if r.At.IsZero() {
		r.At = time.Now()
	}
	sig := sign(l.TB, key, envelope.PAE(r.PayloadType, r.Payload))
	material := &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_Certificate{Certificate: &common.X509Certificate{RawBytes: cert.Raw}},
	}
	if !r.Timeless {
		material.TimestampVerificationData = l.Time(sig, r.At)
	}
	if !r.Logless {
		material.TlogEntries = []*rekorv1.TransparencyLogEntry{l.Entry(r, sig, cert)}
	}
	return &protobundle.Bundle{
		MediaType: envelope.MediaType, VerificationMaterial: material,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: r.Payload, PayloadType: r.PayloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	}
}

// Time is a timestamp of a signature.
func (l *Lab) Time(sig []byte, at time.Time) *protobundle.TimestampVerificationData {
	l.TB.Helper()
	query, err := timestamp.CreateRequest(bytes.NewReader(sig), &timestamp.RequestOptions{Hash: crypto.SHA256})
	if err != nil {
		l.TB.Fatal(err)
	}
	answer, err := l.Timestamp(query, at)
	if err != nil {
		l.TB.Fatal(err)
	}
	return &protobundle.TimestampVerificationData{Rfc3161Timestamps: []*common.RFC3161SignedTimestamp{{SignedTimestamp: answer}}}
}

// Entry logs a signature.
func (l *Lab) Entry(r Recipe, sig []byte, cert *x509.Certificate) *rekorv1.TransparencyLogEntry {
	l.TB.Helper()
	if r.At.IsZero() {
		r.At = time.Now()
	}
	if r.V1 {
		return l.V1.Add("dsse", "0.0.1", bodyV1(l.TB, r, sig, cert), r.At)
	}
	digest := sha256.Sum256(envelope.PAE(envelope.PayloadType, r.Payload))
	return l.V2.Add("hashedrekord", "0.0.2", BodyV2(l.TB, digest[:], &rekortiles.Signature{
		Content: sig,
		Verifier: &rekortiles.Verifier{
			KeyDetails: common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
			Verifier:   &rekortiles.Verifier_X509Certificate{X509Certificate: &common.X509Certificate{RawBytes: cert.Raw}},
		},
	}), r.At)
}

// BodyV2 is an entry as Rekor v2 stores it.
func BodyV2(tb testing.TB, digest []byte, sig *rekortiles.Signature) []byte {
	tb.Helper()
	data, err := protojson.Marshal(&rekortiles.Entry{
		ApiVersion: "0.0.2", Kind: "hashedrekord",
		Spec: &rekortiles.Spec{Spec: &rekortiles.Spec_HashedRekordV002{HashedRekordV002: &rekortiles.HashedRekordLogEntryV002{
			Data: &common.HashOutput{Algorithm: common.HashAlgorithm_SHA2_256, Digest: digest}, Signature: sig,
		}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	if data, err = jcs.Append(nil, data); err != nil {
		tb.Fatal(err)
	}
	return data
}

// bodyV1 is an entry as Rekor v1 stores it.
func bodyV1(tb testing.TB, r Recipe, sig []byte, cert *x509.Certificate) []byte {
	tb.Helper()
	env, err := json.Marshal(map[string]any{
		"payloadType": envelope.PayloadType, "payload": base64.StdEncoding.EncodeToString(r.Payload),
		"signatures": []map[string]string{{"sig": base64.StdEncoding.EncodeToString(sig)}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	proposed, err := dsse.New().CreateProposedEntry(context.Background(), "0.0.1", types.ArtifactProperties{
		ArtifactBytes: env, PublicKeyBytes: [][]byte{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})},
	})
	if err != nil {
		tb.Fatal(err)
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		tb.Fatal(err)
	}
	body, err := types.CanonicalizeEntry(context.Background(), entry)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

func sign(tb testing.TB, key *ecdsa.PrivateKey, message []byte) []byte {
	tb.Helper()
	digest := sha256.Sum256(message)
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		tb.Fatal(err)
	}
	return sig
}

// JSON is the bundle as it stands in a file.
func JSON(tb testing.TB, b *protobundle.Bundle) []byte {
	tb.Helper()
	data, err := protojson.Marshal(b)
	if err != nil {
		tb.Fatal(err)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, data); err != nil {
		tb.Fatal(err)
	}
	return line.Bytes()
}
