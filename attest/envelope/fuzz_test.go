package envelope

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"testing"
)

// FuzzBundle: what is accepted says the same to a lenient reader, and nothing that was
// not signed is trusted.
func FuzzBundle(f *testing.F) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	key, signer := signerOf(f, private, nil)
	good := sign(f, signer, statement)
	f.Add(good)
	f.Add(edit(f, good, func(b map[string]any) {
		material(b)["tlogEntries"] = []any{entry()}
		material(b)["timestampVerificationData"] = map[string]any{"rfc3161Timestamps": []any{map[string]any{"signedTimestamp": b64("t")}}}
	}))
	f.Add(edit(f, good, func(b map[string]any) {
		b["verificationMaterial"] = map[string]any{"certificate": map[string]any{"rawBytes": b64("x")}}
	}))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Parse(data)
		if err != nil {
			if b != nil {
				t.Fatal("a bundle and an error")
			}
			if _, err := Open(t.Context(), data, Keys(key)); err == nil && json.Valid(data) {
				t.Fatal("opened what cannot be read")
			}
			return
		}
		var lenient struct {
			DSSE envelopeJSON `json:"dsseEnvelope"`
		}
		if err := json.Unmarshal(data, &lenient); err != nil {
			t.Fatal(err)
		}
		payload, err := base64.StdEncoding.DecodeString(lenient.DSSE.Payload)
		if err != nil || !bytes.Equal(payload, b.Payload) || lenient.DSSE.PayloadType != b.PayloadType || len(lenient.DSSE.Signatures) != 1 {
			t.Fatalf("read as %q, and otherwise as %q", b.Payload, payload)
		}
		signed, err := Open(t.Context(), data, Keys(key))
		if (err == nil) != (b.Keyed && b.PayloadType == PayloadType && ed25519.Verify(private.Public().(ed25519.PublicKey), PAE(b.PayloadType, b.Payload), b.Signature)) {
			t.Fatalf("opened: %v, %v", signed, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	f.Add([]byte(pemOf(f, "PUBLIC KEY", private.Public())))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParseKey(text)
		if (err == nil) != (k.public != nil) {
			t.Fatalf("%v, %v", k, err)
		}
		if err != nil {
			return
		}
		again, err := ParseKey([]byte(pemOf(t, "PUBLIC KEY", k.public)))
		if err != nil || again.ID() != k.ID() {
			t.Fatalf("%v is %v the second time, %v", k, again, err)
		}
	})
}
