package sigstore

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/mcpsec/mcpsec-go/attest/internal/conformance"
)

// FuzzVerify exchanges one part of a good bundle: the certificate, a timestamp, a log
// entry, a checkpoint. No library may panic on it, and if it is accepted, the payload
// is the one that was signed.
func FuzzVerify(f *testing.F) {
	l := conformance.New(f)
	good := make(map[bool]*protobundle.Bundle)
	payload := []byte(`{"_type":"x"}`)
	for _, v1 := range []bool{false, true} {
		good[v1] = l.Bundle(conformance.Recipe{
			Request: conformance.Request{Subjects: []string{subject}, Issuer: issuer}, Payload: payload, V1: v1,
		})
		for i, piece := range conformance.Pieces(good[v1]) {
			f.Add(v1, uint8(i), piece)
		}
	}
	v, err := Keyless(Identity(subject, issuer), TrustedRoot(l.Root()))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, v1 bool, part uint8, data []byte) {
		if !utf8.Valid(data) && int(part)%len(conformance.Pieces(good[v1])) >= len(conformance.Pieces(good[v1]))-3 {
			return // protobuf text is UTF-8
		}
		signed, err := v.Verify(t.Context(), conformance.JSON(t, conformance.Mutate(good[v1], part, data)))
		if err == nil && !bytes.Equal(signed.Payload, payload) {
			t.Errorf("accepted %q", signed.Payload)
		}
		if err != nil && strings.Contains(err.Error(), "failed on this one") {
			t.Errorf("a library panicked: %v", err)
		}
	})
}
