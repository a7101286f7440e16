package conformance

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/sigstore"
)

// replace panics if there is nothing to replace, so that no case loses its point.
func replace(data []byte, from, to string) []byte {
	if !bytes.Contains(data, []byte(from)) {
		panic(fmt.Sprintf("the statement has no %s", from))
	}
	return bytes.Replace(data, []byte(from), []byte(to), 1)
}

// TestText is about bundles that are wrong before they are a bundle.
func TestText(t *testing.T) {
	t.Parallel()
	l := New(t)
	good := string(JSON(t, l.Bundle(Recipe{Request: builder, Payload: statement(t)})))
	trust := []sigstore.Option{sigstore.TrustedRoot(l.Root()), trustBuilder}
	for _, err := range judge(t, []byte(good), trust...) {
		if err != nil {
			t.Fatalf("the good bundle: %v", err)
		}
	}
	for name, text := range map[string]string{
		"neg 10: member twice":             strings.Replace(good, `"mediaType":`, `"mediaType":"application/vnd.dev.sigstore.bundle.v0.1+json","mediaType":`, 1),
		"neg 10: member twice, escaped":    strings.Replace(good, `"mediaType":`, `"mediaTyp\u0065":"x","mediaType":`, 1),
		"neg 10: member in another case":   strings.Replace(good, `"mediaType":`, `"MediaType":"x","mediaType":`, 1),
		"neg 10: name of the proto file":   strings.Replace(good, `"mediaType":`, `"media_type":`, 1),
		"neg 10: unknown member":           strings.Replace(good, `"mediaType":`, `"comment":"x","mediaType":`, 1),
		"neg 10: payload twice":            strings.Replace(good, `"payload":`, `"payload":"e30=","payload":`, 1),
		"neg 11: trailing bytes":           good + "x",
		"neg 11: byte order mark":          "\ufeff" + good,
		"neg 11: invalid UTF-8":            strings.Replace(good, "mediaType", "mediaTyp\xff", 1),
		"neg 11: depth":                    strings.Repeat("[", 100_000),
		"neg 11: above the limit":          good + strings.Repeat(" ", envelope.MaxBundle),
		"neg 11: empty":                    "",
		"neg 13: legacy bundle":            `{"base64Signature":"AA==","cert":"AA==","rekorBundle":{"SignedEntryTimestamp":"AA==","Payload":{"body":"AA==","integratedTime":1,"logIndex":1,"logID":"00"}}}`,
		"neg 13: legacy bundle, no string": `{"base64Signature":"AA==","cert":"AA==","rekorBundle":{"SignedEntryTimestamp":"AA==","Payload":{"body":{},"integratedTime":1,"logIndex":1,"logID":"00"}}}`,
		"URL-safe base64":                  strings.Replace(good, `"payloadType"`, `"keyid":"_-","payloadType"`, 1),
		"payload is null":                  `{"mediaType":"` + envelope.MediaType + `","verificationMaterial":null,"dsseEnvelope":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if text == good {
				t.Fatal("nothing was changed")
			}
			for i, err := range judge(t, []byte(text), trust...) {
				if err == nil {
					t.Errorf("verifier %d trusts it", i)
				}
			}
		})
	}
}

// TestKeys runs the cases that are about the envelope over pinned keys.
func TestKeys(t *testing.T) {
	t.Parallel()
	private := newKey(t)
	signer, err := envelope.SignWith(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := envelope.NewKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	payload := statement(t)
	text, err := signer.Sign(t.Context(), envelope.PayloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := accept(t.Context(), text, envelope.Keys(key)); err != nil {
		t.Fatalf("the good bundle: %v", err)
	}
	for _, c := range trapCases {
		if c.bundle == nil || !strings.HasPrefix(c.name, "neg") || strings.HasPrefix(c.name, "neg 13") || strings.HasPrefix(c.name, "neg 29") {
			continue // the rest is about certificates, or made before it is signed
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := parse(t, text)
			c.bundle(&Lab{TB: t}, b)
			if _, err := accept(t.Context(), JSON(t, b), envelope.Keys(key)); err == nil {
				t.Error("trusted")
			}
		})
	}
	t.Run("neg 29: keyless bundle under a policy of keys", func(t *testing.T) {
		t.Parallel()
		l := New(t)
		leafKey, cert := l.Leaf(builder)
		r := Recipe{Request: builder, Payload: payload}
		b := l.Bundle(r)
		pinned, err := envelope.NewKey(leafKey.Public())
		if err != nil {
			t.Fatal(err)
		}
		b.GetDsseEnvelope().GetSignatures()[0].Sig = sign(t, leafKey, envelope.PAE(envelope.PayloadType, payload))
		b.GetVerificationMaterial().GetCertificate().RawBytes = cert.Raw
		if _, err := accept(t.Context(), JSON(t, b), envelope.Keys(pinned)); err == nil {
			t.Error("trusted, though its certificate says nothing to whoever pinned the key")
		}
	})
}

func parse(t *testing.T, text []byte) *protobundle.Bundle {
	t.Helper()
	b := new(protobundle.Bundle)
	if err := protojson.Unmarshal(text, b); err != nil {
		t.Fatal(err)
	}
	return b
}
