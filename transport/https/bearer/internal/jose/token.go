package jose

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/encoding/json"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Header is what a token says of its signature.
type Header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
	// Key is of proofs of possession only: [Parse] refuses it.
	Key json.RawMessage `json:"jwk"`
}

// forbidden are members of a header that must not be there: extensions nobody here
// understands (RFC 7515, section 4.1.11), and keys that the sender of a token brings along.
type forbidden struct {
	Critical    json.RawMessage `json:"crit"`
	Unencoded   json.RawMessage `json:"b64"`
	Compression json.RawMessage `json:"zip"`
	Encryption  json.RawMessage `json:"enc"`
	KeySetURL   json.RawMessage `json:"jku"`
	ChainURL    json.RawMessage `json:"x5u"`
	Chain       json.RawMessage `json:"x5c"`
}

func (f *forbidden) any() bool {
	for _, m := range []json.RawMessage{f.Critical, f.Unencoded, f.Compression, f.Encryption, f.KeySetURL, f.ChainURL, f.Chain} {
		if m != nil {
			return true
		}
	}
	return false
}

// A Token is a signed token that was taken apart. Nothing in it is verified.
type Token struct {
	Header Header
	Claims []byte // strict JSON

	input     string
	signature []byte
}

// Parse takes a compact token apart whose header has no key.
func Parse(text string) (*Token, error) {
	t, err := parse(text)
	if err == nil && t.Header.Key != nil {
		return nil, errors.New("header: the token brings its own key")
	}
	return t, err
}

// ParseProof takes a compact token apart whose header has the key it is signed with.
func ParseProof(text string) (*Token, *Key, error) {
	t, err := parse(text)
	if err != nil {
		return nil, nil, err
	}
	if t.Header.Key == nil {
		return nil, nil, errors.New("header: no key")
	}
	k, err := ParseKey(t.Header.Key)
	if err != nil {
		return nil, nil, err
	}
	return t, k, nil
}

func parse(text string) (*Token, error) {
	first := strings.IndexByte(text, '.')
	last := strings.LastIndexByte(text, '.')
	if first <= 0 || first == last || strings.IndexByte(text[first+1:last], '.') >= 0 {
		return nil, errors.New("not three parts")
	}
	t := &Token{input: text[:last]}
	header, err := decode(text[:first])
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := t.readHeader(header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if t.Claims, err = decode(text[first+1 : last]); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if err := CheckObject(t.Claims); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if t.signature, err = decode(text[last+1:]); err != nil || len(t.signature) == 0 {
		return nil, errors.New("signature: not base64url")
	}
	return t, nil
}

func (t *Token) readHeader(data []byte) error {
	var h struct {
		Header
		forbidden
	}
	if err := Decode(data, &h); err != nil {
		return err
	}
	if h.any() {
		return errors.New("a member that is not supported")
	}
	t.Header = h.Header
	if t.Header.Algorithm == "" {
		return errors.New("no algorithm")
	}
	return nil
}

var encoding = base64.RawURLEncoding.Strict()

// decode reads base64url without padding. The decoder of the standard library skips line
// ends, which would give one token many spellings.
func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("not base64url")
	}
	data, err := encoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	return data, nil
}

// CheckObject reports whether data is strict JSON and an object.
func CheckObject(data []byte) error {
	if err := mcpsec.CheckJSON(data); err != nil {
		return err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return errors.New("not an object")
	}
	return nil
}

// Decode decodes a strict JSON object into the members of v of exactly the same names.
// Members that v does not have are ignored; null counts as absent.
func Decode(data []byte, v any) error {
	if err := CheckObject(data); err != nil {
		return err
	}
	if _, err := json.Parse(data, v, json.DontMatchCaseInsensitiveStructFields); err != nil {
		return errors.New("a member has the wrong type")
	}
	return nil
}
