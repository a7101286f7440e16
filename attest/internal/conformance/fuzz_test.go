package conformance

import (
	"bytes"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"google.golang.org/protobuf/encoding/protojson"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
)

// FuzzParsers holds the strict reader of envelope against the protobuf reader of
// sigstore-go: whatever the first accepts, the second reads as the same payload,
// signature, certificate and hint. Log entries are not compared, for the first only
// looks at their form.
func FuzzParsers(f *testing.F) {
	l := New(f)
	r := Recipe{Request: builder, Payload: statement(f)}
	f.Add(JSON(f, l.Bundle(r)))
	r.V1 = true
	f.Add(JSON(f, l.Bundle(r)))
	s, err := envelope.SignWith(newKey(f))
	if err != nil {
		f.Fatal(err)
	}
	keyed, err := s.Sign(f.Context(), envelope.PayloadType, r.Payload)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(keyed)
	f.Add([]byte(`{"mediaType":"` + envelope.MediaType + `","verificationMaterial":{"publicKey":{}},"dsseEnvelope":{"payload":"e30=","payloadType":"\ud83d\ude00","signatures":[{"sig":"AA=="}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		said, err := envelope.Parse(data)
		if err != nil {
			return
		}
		b := new(protobundle.Bundle)
		if err := protojson.Unmarshal(data, b); err != nil {
			t.Fatalf("protobuf refuses what the strict reader takes: %v", err)
		}
		dsse, material := b.GetDsseEnvelope(), b.GetVerificationMaterial()
		if b.GetMediaType() != envelope.MediaType || len(dsse.GetSignatures()) != 1 ||
			!bytes.Equal(dsse.GetPayload(), said.Payload) || dsse.GetPayloadType() != said.PayloadType ||
			!bytes.Equal(dsse.GetSignatures()[0].GetSig(), said.Signature) ||
			!bytes.Equal(material.GetCertificate().GetRawBytes(), said.Certificate) ||
			(material.GetPublicKey() != nil) != said.Keyed || material.GetPublicKey().GetHint() != said.Hint {
			t.Fatalf("two readers disagree: %+v, %v", said, b)
		}
		if len(material.GetTlogEntries()) > 0 {
			return
		}
		if err := new(bundle.Bundle).UnmarshalJSON(data); err != nil {
			t.Fatalf("sigstore-go refuses what the strict reader takes: %v", err)
		}
	})
}
