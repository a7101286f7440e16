package fakeaws

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"strings"
	"sync"
)

// KeyManagement is the part of KMS that signs with ECDSA keys on P-256. It is safe for
// concurrent use.
type KeyManagement struct {
	mu       sync.Mutex
	keys     map[string]*ecdsa.PrivateKey // by key ID
	aliases  map[string]string            // key IDs by "alias/NAME"
	disabled map[string]bool              // by key ID
	forge    bool
}

// NewKeyManagement returns the service without any key.
func NewKeyManagement() *KeyManagement {
	return &KeyManagement{keys: make(map[string]*ecdsa.PrivateKey), aliases: make(map[string]string), disabled: make(map[string]bool)}
}

// Add makes a key that signs, under an ID (a UUID) and an alias.
func (k *KeyManagement) Add(id, alias string, key *ecdsa.PrivateKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[id], k.aliases["alias/"+alias] = key, id
}

// Disable disables a key.
func (k *KeyManagement) Disable(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.disabled[id] = true
}

// Forge makes all further signatures those of another key.
func (k *KeyManagement) Forge() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forge = true
}

// SigningName implements [Service].
func (*KeyManagement) SigningName() string { return "kms" }

// Target implements [Service].
func (*KeyManagement) Target() string { return "TrentService" }

// Serve implements [Service].
func (k *KeyManagement) Serve(r *Request) (any, error) {
	var in struct {
		KeyID            string `json:"KeyId"`
		Message          []byte `json:"Message"`
		MessageType      string `json:"MessageType"`
		SigningAlgorithm string `json:"SigningAlgorithm"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	arn := "arn:aws:kms:" + Region + ":" + Account + ":"
	id := strings.TrimPrefix(strings.TrimPrefix(in.KeyID, arn), "key/")
	if target, ok := k.aliases[id]; ok {
		id = target
	}
	key, ok := k.keys[id]
	if !ok {
		return nil, Errorf("NotFoundException", "Key '%skey/%s' does not exist", arn, id)
	}
	algorithm := map[elliptic.Curve]string{elliptic.P256(): "ECDSA_SHA_256", elliptic.P384(): "ECDSA_SHA_384"}[key.Curve]
	switch r.Operation {
	case "DescribeKey":
		return map[string]any{"KeyMetadata": map[string]any{
			"AWSAccountId": Account, "Arn": arn + "key/" + id, "KeyId": id, "Enabled": !k.disabled[id],
			"KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": []string{algorithm},
		}}, nil
	case "GetPublicKey", "Sign":
		if k.disabled[id] {
			return nil, Errorf("DisabledException", "%skey/%s is disabled.", arn, id)
		}
	default:
		return nil, Errorf("UnknownOperationException", "%s", r.Operation)
	}
	if r.Operation == "GetPublicKey" {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			return nil, err
		}
		return map[string]any{"KeyId": arn + "key/" + id, "PublicKey": der, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": []string{algorithm}}, nil
	}
	switch {
	case in.SigningAlgorithm != algorithm:
		return nil, Errorf("InvalidKeyUsageException", "Algorithm %s is incompatible with key spec.", in.SigningAlgorithm)
	case in.MessageType != "DIGEST":
		return nil, Errorf("ValidationException", "this service signs digests only")
	case len(in.Message) != (key.Curve.Params().BitSize+7)/8:
		return nil, Errorf("ValidationException", "Digest is invalid length for algorithm %s.", algorithm)
	}
	if k.forge {
		other, err := ecdsa.GenerateKey(key.Curve, rand.Reader)
		if err != nil {
			return nil, err
		}
		key = other
	}
	sig, err := ecdsa.SignASN1(rand.Reader, key, in.Message)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyId": arn + "key/" + id, "Signature": sig, "SigningAlgorithm": algorithm}, nil
}
