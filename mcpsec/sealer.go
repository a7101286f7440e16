package mcpsec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A sealer hands things to a client that only this server can read and that the
// client cannot change: request states and list cursors (AES-256-GCM with a
// random nonce, the purpose and the principal as associated data).
type sealer struct {
	aead   cipher.AEAD
	shared bool // other processes have the key
}

func newSealer(key []byte) (*sealer, error) {
	shared := key != nil
	if !shared {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("Settings: StateKey has %d bytes, not 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead, shared}, nil
}

var errSeal = errors.New("not sealed by this server for this principal, or expired")

// sealed is the plaintext: a body that expires, padded so that the length of a
// hidden name does not show.
type sealed struct {
	Until int64           `json:"u"` // Unix milliseconds
	Body  json.RawMessage `json:"b"`
	Pad   string          `json:"p"`
}

const sealBlock = 128

func (s *sealer) seal(purpose string, p Principal, until time.Time, body any) (string, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	box := sealed{Until: until.UnixMilli(), Body: raw}
	box.Pad = string(make0(sealBlock - len(raw)%sealBlock))
	plain, err := json.Marshal(box)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, binding(purpose, p))), nil //nolint:gosec // this AEAD makes its own random nonce
}

func make0(n int) []byte {
	pad := make([]byte, n)
	for i := range pad {
		pad[i] = '0'
	}
	return pad
}

func (s *sealer) open(purpose string, p Principal, now time.Time, text string, body any) error {
	cipherText, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return errSeal
	}
	plain, err := s.aead.Open(nil, nil, cipherText, binding(purpose, p))
	if err != nil {
		return errSeal
	}
	var box sealed
	if err := json.Unmarshal(plain, &box); err != nil || now.UnixMilli() > box.Until {
		return errSeal
	}
	return json.Unmarshal(box.Body, body)
}

func binding(purpose string, p Principal) []byte {
	return []byte(purpose + "\x00" + p.Key())
}
