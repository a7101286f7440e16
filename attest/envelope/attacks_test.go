package envelope

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestForgedBundles: each attack is on a bundle that was accepted before it.
func TestForgedBundles(t *testing.T) {
	t.Parallel()
	for algorithm, generate := range map[string]func(testing.TB) (Key, Signer){"Ed25519": ed25519Key, "ECDSA P-256": ecdsaKey} {
		key, signer := generate(t)
		_, stranger := generate(t)
		good := sign(t, signer, statement)
		if _, err := Open(t.Context(), good, Keys(key)); err != nil {
			t.Fatal(err)
		}
		raw := base64.StdEncoding.EncodeToString
		set := func(in func(map[string]any) map[string]any, name string, value any) []byte {
			return edit(t, good, func(b map[string]any) {
				if value == nil {
					delete(in(b), name)
				} else {
					in(b)[name] = value
				}
			})
		}
		top := func(b map[string]any) map[string]any { return b }
		for _, test := range []struct {
			name string
			file []byte
			want error
		}{
			{"neg 1: one byte of the payload changed", set(dsse, "payload", b64(strings.Replace(statement, "v1", "v2", 1))), ErrUntrusted},
			{"neg 1: a byte added to the payload", set(dsse, "payload", b64(statement+" ")), ErrUntrusted},
			{"neg 2: payload type changed", set(dsse, "payloadType", "application/json"), ErrBundle},
			{"neg 2: payload type missing", set(dsse, "payloadType", nil), ErrBundle},
			{"neg 3: signature removed", set(dsse, "signatures", []any{}), ErrBundle},
			{"neg 3: signatures missing", set(dsse, "signatures", nil), ErrBundle},
			{"neg 3: signature empty", set(dsse, "signatures", []any{map[string]any{"sig": ""}}), ErrBundle},
			{"neg 3: signature of zeros", set(dsse, "signatures", []any{map[string]any{"sig": raw(make([]byte, 64))}}), ErrUntrusted},
			{"neg 3: signature null", set(dsse, "signatures", []any{nil}), ErrBundle},
			{"neg 4: two signatures, first valid", edit(t, good, func(b map[string]any) {
				first := dsse(b)["signatures"].([]any)[0]
				dsse(b)["signatures"] = []any{first, map[string]any{"sig": b64("other")}}
			}), ErrBundle},
			{"neg 4: the same signature twice", edit(t, good, func(b map[string]any) {
				first := dsse(b)["signatures"].([]any)[0]
				dsse(b)["signatures"] = []any{first, first}
			}), ErrBundle},
			{"neg 5: signed by another key with the same key hint", edit(t, sign(t, stranger, statement), func(b map[string]any) {
				material(b)["publicKey"] = map[string]any{"hint": key.hint()}
			}), ErrUntrusted},
			{"neg 5: signed by another key with its own hint", sign(t, stranger, statement), ErrUntrusted},
			{"neg 7: message signature where DSSE is required", edit(t, good, func(b map[string]any) {
				delete(b, "dsseEnvelope")
				b["messageSignature"] = map[string]any{"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": b64("x")}, "signature": b64("x")}
			}), ErrBundle},
			{"neg 7: message signature beside DSSE", set(top, "messageSignature", map[string]any{"signature": b64("x")}), ErrBundle},
			{"neg 7: envelope missing", set(top, "dsseEnvelope", nil), ErrBundle},
			{"neg 13: legacy cosign bundle", []byte(`{"SignedEntryTimestamp":"MEUC","Payload":{"body":"e30=","integratedTime":1,"logIndex":1,"logID":"aa"}}`), ErrBundle},
			{"neg 13: legacy cosign bundle with a body that is no string", []byte(`{"base64Signature":"MEUC","rekorBundle":{"Payload":{"body":{"a":1}}}}`), ErrBundle},
			{"neg 14, library trap 6: media type v0.1", set(top, "mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.1"), ErrBundle},
			{"neg 14, library trap 6: media type v0.2", set(top, "mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.2"), ErrBundle},
			{"neg 14: media type v0.4", set(top, "mediaType", "application/vnd.dev.sigstore.bundle.v0.4+json"), ErrBundle},
			{"neg 14: media type in other case", set(top, "mediaType", strings.ToUpper(MediaType)), ErrBundle},
			{"neg 14: media type missing", set(top, "mediaType", nil), ErrBundle},
			{"neg 29: certificate bundle where keys are trusted", set(top, "verificationMaterial", map[string]any{"certificate": map[string]any{"rawBytes": b64("x")}}), ErrUntrusted},
			{"neg 29: certificate beside the key", set(material, "certificate", map[string]any{"rawBytes": b64("x")}), ErrBundle},
			{"a certificate chain", set(top, "verificationMaterial", map[string]any{"x509CertificateChain": map[string]any{"certificates": []any{}}}), ErrBundle},
			{"neither key nor certificate", set(top, "verificationMaterial", map[string]any{}), ErrBundle},
			{"verification material missing", set(top, "verificationMaterial", nil), ErrBundle},
			{"the public key itself in the bundle", set(material, "publicKey", map[string]any{"rawBytes": b64("x"), "hint": key.hint()}), ErrBundle},
			{"type and payload run into each other", edit(t, good, func(b map[string]any) {
				dsse(b)["payloadType"] = PayloadType + " " + fmt.Sprint(len(statement)) + " "
			}), ErrBundle},
			{"an empty file", nil, ErrBundle},
			{"a file of line feeds", []byte("\n\n"), ErrBundle},
		} {
			t.Run(algorithm+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				signed, err := Open(t.Context(), test.file, Keys(key))
				if !errors.Is(err, test.want) || signed != nil {
					t.Errorf("got %v, %v; want %v", signed, err, test.want)
				}
			})
		}
	}
}

// TestSpellings: what two readers could read in two ways is refused, although the
// signature is right.
func TestSpellings(t *testing.T) {
	t.Parallel()
	key, signer := ed25519Key(t)
	good := sign(t, signer, statement)
	payload := `"payload":"` + b64(statement) + `"`
	evil := `"payload":"` + b64("{}") + `"`
	evidence := func(entries ...any) []byte {
		return edit(t, good, func(b map[string]any) { material(b)["tlogEntries"] = entries })
	}
	entryWith := func(name string, value any) []byte {
		e := entry()
		e[name] = value
		return evidence(e)
	}
	for _, test := range []struct {
		name   string
		bundle []byte
	}{
		{"neg 10: duplicate key, last one good", replaced(t, good, payload, evil+","+payload)},
		{"neg 10: duplicate key, first one good", replaced(t, good, payload, payload+","+evil)},
		{"neg 10: duplicate key, escaped", replaced(t, good, payload, payload+`,"p\u0061yload":"`+b64("{}")+`"`)},
		{"neg 10, library trap 4: key in another case", replaced(t, good, payload, payload+`,"PAYLOAD":"`+b64("{}")+`"`)},
		{"neg 10: only key in another case", replaced(t, good, `"payload":`, `"Payload":`)},
		{"neg 10: key in snake case, as protobuf reads too", replaced(t, good, `"mediaType"`, `"media_type"`)},
		{"neg 10: both cases of one key", replaced(t, good, `"dsseEnvelope"`, `"dsse_envelope":{},"dsseEnvelope"`)},
		{"neg 10: unknown member", replaced(t, good, payload, payload+`,"extra":1`)},
		{"neg 10: unknown member at the top", replaced(t, good, `{"mediaType"`, `{"extra":1,"mediaType"`)},
		{"neg 10: a member that is null, beside the key", replaced(t, good, `"publicKey"`, `"certificate":null,"publicKey"`)},
		{"neg 10: a member that is null, in the signature", replaced(t, good, `{"sig"`, `{"keyid":null,"sig"`)},
		{"neg 10: a list that is null, after an escape", replaced(t, replaced(t, good, `"hint":"`, `"hint":"\\\"`), `"publicKey"`, `"tlogEntries":null,"publicKey"`)},
		{"neg 2: payload type empty", replaced(t, good, `"`+PayloadType+`"`, `""`)},
		{"neg 11: trailing bytes", append(bytes.Clone(good), " x"...)},
		{"neg 11: a second value on the line", append(bytes.Clone(good), "{}"...)},
		{"neg 11: byte order mark", append([]byte("\xef\xbb\xbf"), good...)},
		{"neg 11: invalid UTF-8", replaced(t, good, `"hint":"`, "\"hint\":\"\xff")},
		{"neg 11: lone surrogate", replaced(t, good, `"hint":"`, `"hint":"\ud800`)},
		{"neg 11: depth bomb", replaced(t, good, payload, `"payload":`+strings.Repeat("[", 100000))},
		{"neg 11: depth bomb that closes", replaced(t, good, payload, `"payload":`+strings.Repeat("[", 100)+strings.Repeat("]", 100))},
		{"neg 11: a bundle of 100 MB", make([]byte, 100<<20)},
		{"neg 11: a bundle above its limit", replaced(t, good, `{"mediaType"`, "{"+strings.Repeat(" ", MaxBundle)+`"mediaType"`)},
		{"base64 for URLs", replaced(t, sign(t, signer, "???"), `"Pz8/"`, `"Pz8_"`)},
		{"base64 without padding", replaced(t, sign(t, signer, "a"), `"YQ=="`, `"YQ"`)},
		{"base64 with a line feed", replaced(t, good, `"payload":"`, `"payload":"\n`)},
		{"base64 with bits that are left over", replaced(t, sign(t, signer, "a"), `"YQ=="`, `"YR=="`)},
		{"bytes that are an array", replaced(t, good, payload, `"payload":[123]`)},
		{"a log entry that is null", evidence(nil)},
		{"a log entry with an unknown member", entryWith("extra", 1)},
		{"a log entry with a number for a string", entryWith("logIndex", 7)},
		{"a log entry with a negative index", entryWith("logIndex", "-1")},
		{"a log entry with a leading zero", entryWith("logIndex", "07")},
		{"a log entry with an index beyond 64 bits", entryWith("logIndex", "9223372036854775808")},
		{"a log entry with an empty index", entryWith("logIndex", "")},
		{"neg 13: a log entry with a body that is no string", entryWith("canonicalizedBody", map[string]any{})},
		{"a log entry with a body that is no base64", entryWith("canonicalizedBody", "{}")},
		{"a log entry with a hash that is null", entryWith("inclusionProof", map[string]any{"rootHash": b64("r"), "hashes": []any{nil}})},
		{"a proof with too many hashes", entryWith("inclusionProof", map[string]any{"rootHash": b64("r"), "hashes": slicesOf(65, b64("h"))})},
		{"too many log entries", evidence(slicesOf(maxEvidence+1, entry())...)},
		{"too many timestamps", edit(t, good, func(b map[string]any) {
			material(b)["timestampVerificationData"] = map[string]any{"rfc3161Timestamps": slicesOf(maxEvidence+1, map[string]any{"signedTimestamp": b64("t")})}
		})},
		{"an empty timestamp", edit(t, good, func(b map[string]any) {
			material(b)["timestampVerificationData"] = map[string]any{"rfc3161Timestamps": []any{map[string]any{}}}
		})},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse(test.bundle); !errors.Is(err, ErrBundle) {
				t.Errorf("Parse: %v", err)
			}
			if _, err := Keys(key).Verify(t.Context(), test.bundle); !errors.Is(err, ErrBundle) {
				t.Errorf("Verify: %v", err)
			}
			if _, err := Open(t.Context(), test.bundle, Keys(key)); !errors.Is(err, ErrBundle) {
				t.Errorf("Open: %v", err)
			}
		})
	}
}

func slicesOf(n int, v any) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = v
	}
	return list
}

// TestEvidenceIsOfNoConsequence: whatever a log or a timestamp says, a pinned key decides.
func TestEvidenceIsOfNoConsequence(t *testing.T) {
	t.Parallel()
	key, signer := ed25519Key(t)
	bundle := edit(t, sign(t, signer, statement), func(b map[string]any) {
		material(b)["tlogEntries"] = []any{entry(), map[string]any{"canonicalizedBody": b64("x")}}
		material(b)["timestampVerificationData"] = map[string]any{"rfc3161Timestamps": []any{map[string]any{"signedTimestamp": b64("t")}}}
	})
	signed, err := Open(t.Context(), bundle, Keys(key))
	if err != nil || signed[0].Log != "" || !signed[0].Time.IsZero() {
		t.Errorf("got %v, %v", signed, err)
	}
}

func TestKeyWindow(t *testing.T) {
	t.Parallel()
	key, signer := ed25519Key(t)
	bundle := sign(t, signer, statement)
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	keys := func(k Key, now time.Time) Verifier {
		r := Keys(k).(*keyring)
		r.now = func() time.Time { return now }
		return r
	}
	for _, test := range []struct {
		name        string
		key         Key
		now, issued time.Time
		want, also  error // of Open, and of Covers
	}{
		{"in its life", key.Valid(from, to), from, to, nil, nil},
		{"neg 6, library trap 2: window that ended in 1970, no timestamp", key.Valid(time.Time{}, time.Unix(0, 0)), from, from, ErrWindow, nil},
		{"neg 6, library trap 2: one second after its end", key.Valid(from, to), to.Add(time.Second), from, ErrWindow, nil},
		{"neg 6: before its beginning", key.Valid(from, to), from.Add(-time.Second), from, ErrWindow, nil},
		{"neg 6: issue time after its end", key.Valid(from, to), to, to.Add(time.Second), nil, ErrWindow},
		{"neg 6: issue time before its beginning", key.Valid(from, time.Time{}), to, from.Add(-time.Second), nil, ErrWindow},
		{"no bounds", key, to, from, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			signed, err := Open(t.Context(), bundle, keys(test.key, test.now))
			if !errors.Is(err, test.want) {
				t.Fatalf("Open: %v, want %v", err, test.want)
			}
			if err == nil {
				if err := signed[0].Covers(test.issued); !errors.Is(err, test.also) {
					t.Errorf("Covers: %v, want %v", err, test.also)
				}
			}
		})
	}
}

// TestHintSelectsNothing: every key is tried, whatever the bundle says of itself.
func TestHintSelectsNothing(t *testing.T) {
	t.Parallel()
	a, signer := ecdsaKey(t)
	b, _ := ecdsaKey(t)
	for _, hint := range []string{"", "x", b.hint(), strings.Repeat("long", 1000)} {
		bundle := edit(t, sign(t, signer, statement), func(bundle map[string]any) {
			material(bundle)["publicKey"] = map[string]any{"hint": hint}
		})
		signed, err := Open(t.Context(), bundle, Keys(b, a))
		if err != nil || signed[0].ID != "key "+a.ID() {
			t.Errorf("hint %.20q: %v, %v", hint, signed, err)
		}
	}
}

// TestSignatureOfAnotherKind: an ECDSA signature is DER; r and s side by side are not.
func TestSignatureOfAnotherKind(t *testing.T) {
	t.Parallel()
	key, signer := ecdsaKey(t)
	sig := make([]byte, 64)
	_, _ = rand.Read(sig)
	bundle := edit(t, sign(t, signer, statement), func(b map[string]any) {
		dsse(b)["signatures"] = []any{map[string]any{"sig": base64.StdEncoding.EncodeToString(sig)}}
	})
	if _, err := Open(t.Context(), bundle, Keys(key)); !errors.Is(err, ErrUntrusted) {
		t.Error(err)
	}
}
