package envelope

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const statement = `{"_type":"https://in-toto.io/Statement/v1"}`

func ed25519Key(tb testing.TB) (Key, Signer) {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return signerOf(tb, private, err)
}

func ecdsaKey(tb testing.TB) (Key, Signer) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return signerOf(tb, private, err)
}

func signerOf(tb testing.TB, private crypto.Signer, err error) (Key, Signer) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	k, err := NewKey(private.Public())
	if err != nil {
		tb.Fatal(err)
	}
	s, err := SignWith(private)
	if err != nil {
		tb.Fatal(err)
	}
	return k, s
}

func sign(tb testing.TB, s Signer, payload string) []byte {
	tb.Helper()
	bundle, err := s.Sign(tb.Context(), PayloadType, []byte(payload))
	if err != nil {
		tb.Fatal(err)
	}
	return bundle
}

// edit changes a bundle as an object.
func edit(tb testing.TB, bundle []byte, change func(b map[string]any)) []byte {
	tb.Helper()
	var b map[string]any
	if err := json.Unmarshal(bundle, &b); err != nil {
		tb.Fatal(err)
	}
	change(b)
	out, err := json.Marshal(b)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func dsse(b map[string]any) map[string]any     { return b["dsseEnvelope"].(map[string]any) }
func material(b map[string]any) map[string]any { return b["verificationMaterial"].(map[string]any) }

// replaced changes a bundle as a text, in which the old must be.
func replaced(tb testing.TB, bundle []byte, old, with string) []byte {
	tb.Helper()
	if !strings.Contains(string(bundle), old) || old == with {
		tb.Fatalf("%s is not in the bundle, or nothing changes", old)
	}
	return []byte(strings.Replace(string(bundle), old, with, 1))
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// entry is a log entry of the right form.
func entry() map[string]any {
	return map[string]any{
		"logIndex": "7", "logId": map[string]any{"keyId": b64("log")}, "kindVersion": map[string]any{"kind": "dsse", "version": "0.0.1"},
		"integratedTime": "1763805600", "inclusionPromise": map[string]any{"signedEntryTimestamp": b64("set")},
		"inclusionProof": map[string]any{
			"logIndex": "7", "rootHash": b64("root"), "treeSize": "8", "hashes": []any{b64("h")},
			"checkpoint": map[string]any{"envelope": fmt.Sprintf("log\n8\n%s\n", b64("root"))},
		},
		"canonicalizedBody": b64("{}"),
	}
}
