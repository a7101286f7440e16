package cosign

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/mcpsec/mcpsec-go/attest/internal/conformance"
	"github.com/mcpsec/mcpsec-go/attest/sigstore"
)

// FuzzVerify exchanges one part of a good bundle and has cosign's library and
// sigstore-go judge it. They must judge alike and say the same.
func FuzzVerify(f *testing.F) {
	l := conformance.New(f)
	const subject, issuer = "builder@example.com", "https://issuer.example"
	good := make(map[bool]*protobundle.Bundle)
	for _, v1 := range []bool{false, true} {
		good[v1] = l.Bundle(conformance.Recipe{
			Request: conformance.Request{Subjects: []string{subject}, Issuer: issuer}, Payload: []byte(`{"_type":"x"}`), V1: v1,
		})
		for i, piece := range conformance.Pieces(good[v1]) {
			f.Add(v1, uint8(i), piece)
		}
	}
	opts := []sigstore.Option{sigstore.Identity(subject, issuer), sigstore.TrustedRoot(l.Root())}
	one, err := Verifier(opts...)
	if err != nil {
		f.Fatal(err)
	}
	two, err := sigstore.Keyless(opts...)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, v1 bool, part uint8, data []byte) {
		if !utf8.Valid(data) && int(part)%len(conformance.Pieces(good[v1])) >= len(conformance.Pieces(good[v1]))-3 {
			return // protobuf text is UTF-8
		}
		file := conformance.JSON(t, conformance.Mutate(good[v1], part, data))
		a, err1 := one.Verify(t.Context(), file)
		b, err2 := two.Verify(t.Context(), file)
		switch {
		case (err1 == nil) != (err2 == nil):
			t.Errorf("cosign: %v; sigstore-go: %v", err1, err2)
		case err1 != nil && strings.Contains(err1.Error(), "failed on this one"):
			t.Errorf("a library panicked: %v", err1)
		case err1 == nil && (!bytes.Equal(a.Payload, b.Payload) || !a.Time.Equal(b.Time) || a.Log != b.Log || a.ID != b.ID):
			t.Errorf("cosign says %+v; sigstore-go says %+v", a, b)
		}
	})
}
