package keyfile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
)

var word = []byte("correct horse battery staple")

func say(password string) Password { return func() ([]byte, error) { return []byte(password), nil } }

// seal encrypts whatever is a PKCS #8 key, or not.
func seal(tb testing.TB, kind string, key any) []byte {
	tb.Helper()
	der, ok := key.([]byte)
	if !ok {
		var err error
		if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
			tb.Fatal(err)
		}
	}
	box, err := encrypted.EncryptWithCustomKDFParameters(der, word, encrypted.Legacy)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: box})
}

func TestGenerateAndRead(t *testing.T) {
	t.Parallel()
	private, public, err := Generate(word)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(private, []byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n")) {
		t.Errorf("%.60s", private)
	}
	path := filepath.Join(t.TempDir(), "cosign.key")
	if err := os.WriteFile(path, private, 0o600); err != nil {
		t.Fatal(err)
	}
	given := []byte(string(word))
	key, err := Read(path, func() ([]byte, error) { return given, nil })
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(given, []byte("horse")) {
		t.Error("the password was left in memory")
	}
	want, err := envelope.ParseKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := envelope.NewKey(key.Public()); err != nil || got.ID() != want.ID() {
		t.Errorf("%v, %v", got, err)
	}
	if _, _, err := Generate(nil); err == nil {
		t.Error("a key without a password was made")
	}
}

func TestOlderBlockAndEd25519(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(seal(t, oldPEMType, key), say(string(word))); err != nil {
		t.Error(err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := seal(t, pemType, p256)
	box := func(from, to string) []byte {
		block, _ := pem.Decode(good)
		block.Bytes = bytes.Replace(block.Bytes, []byte(from), []byte(to), 1)
		return pem.EncodeToMemory(block)
	}
	plain, err := x509.MarshalPKCS8PrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	right := say(string(word))
	for name, c := range map[string]struct {
		data     []byte
		password Password
		why      string
	}{
		"wrong password":               {good, say("wrong"), ErrPassword.Error()},
		"no password":                  {good, nil, "no password"},
		"password cannot be had":       {good, func() ([]byte, error) { return nil, errors.New("no terminal") }, "no terminal"},
		"unencrypted key":              {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: plain}), right, "import-key-pair"},
		"no PEM":                       {[]byte("x"), right, "not a PEM file"},
		"empty":                        {nil, right, "not a PEM file"},
		"two keys":                     {append(bytes.Clone(good), good...), right, "follows"},
		"more than a key file":         {bytes.Repeat([]byte("x"), maxFile+1), right, "more than"},
		"scrypt that takes all memory": {box(`"N":32768`, `"N":1073741824`), right, "scrypt"},
		"another derivation":           {box(`"scrypt"`, `"argon2"`), right, "kdf"},
		"short nonce":                  {box(`"nonce":"`, `"nonce":"AAAA","other":"`), right, "nonce"},
		"changed box":                  {box(`"salt":"`, `"salt":"AAAA`), right, ErrPassword.Error()},
		"no PKCS #8 inside":            {seal(t, pemType, []byte("x")), right, "not a PKCS #8"},
		"P-384":                        {seal(t, pemType, p384), right, "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse(c.data, c.password); err == nil || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), string(word)) {
				t.Errorf("%v, want %q", err, c.why)
			}
		})
	}
	if _, err := Read(t.TempDir(), right); err == nil {
		t.Error("a folder was read")
	}
}

// FuzzParse looks for panics and for costs that the file sets.
func FuzzParse(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seal(f, pemType, key))
	f.Add([]byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ne30=\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if signer, err := Parse(data, say("guess")); (signer == nil) == (err == nil) {
			t.Errorf("%v, %v", signer, err)
		}
	})
}
