// Package dpop verifies proofs of possession (RFC 9449).
package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/jose"
)

// Bounds of a proof, in bytes.
const (
	MaxProof = 8 << 10
	maxID    = 256
)

var (
	// ErrNonce means that the proof has no current nonce: see [Checker.Nonce].
	ErrNonce = errors.New("the proof has no current nonce")
	// ErrBusy means that more proofs came within the window than are remembered.
	ErrBusy = errors.New("too many proofs")
)

// A Checker verifies proofs. It is safe for concurrent use.
type Checker struct {
	// Algorithms that proofs may be signed with.
	Algorithms []string
	// Window is how old a proof may be, and Skew how far its clock may be ahead.
	Window, Skew time.Duration
	// Nonces demands them.
	Nonces bool
	Now    func() time.Time

	seen  *replay
	nonce nonces
}

// New returns a checker with an empty memory of proofs.
func New(c Checker) *Checker {
	c.seen = newReplay(c.Window + c.Skew)
	c.nonce = newNonces()
	return &c
}

// A Request is what a proof must be for.
type Request struct {
	Method string
	URL    string // see [Target]
	Token  string
	// Thumbprint is of the key that the token is bound to.
	Thumbprint string
}

type claims struct {
	ID     string  `json:"jti"`
	Method string  `json:"htm"`
	URL    string  `json:"htu"`
	Issued float64 `json:"iat"`
	Hash   string  `json:"ath"`
	Nonce  string  `json:"nonce"`
}

// Check verifies a proof and remembers it.
func (c *Checker) Check(proof string, r Request) error {
	if len(proof) > MaxProof {
		return fmt.Errorf("the proof is longer than %d bytes", MaxProof)
	}
	token, key, err := jose.ParseProof(proof)
	if err != nil {
		return err
	}
	if !strings.EqualFold(token.Header.Type, "dpop+jwt") {
		return errors.New("no proof by its typ")
	}
	if !same(key.Thumbprint, r.Thumbprint) {
		return errors.New("the proof is by another key than the token's")
	}
	if err := token.Verify(key, c.Algorithms); err != nil {
		return err
	}
	var cl claims
	if err := jose.Decode(token.Claims, &cl); err != nil {
		return err
	}
	if err := c.judge(&cl, r); err != nil {
		return err
	}
	return c.seen.add(c.Now(), key.Thumbprint, cl.ID)
}

func (c *Checker) judge(cl *claims, r Request) error {
	now := c.Now()
	target, err := Normalize(cl.URL)
	hash := sha256.Sum256([]byte(r.Token))
	switch {
	case cl.ID == "" || len(cl.ID) > maxID:
		return errors.New("no jti, or one that is too long")
	case cl.Method != r.Method:
		return errors.New("the proof is for another method")
	case err != nil || target != r.URL:
		return errors.New("the proof is for another URL")
	case !same(cl.Hash, base64.RawURLEncoding.EncodeToString(hash[:])):
		return errors.New("the proof is for another token")
	case !(cl.Issued > 0 && cl.Issued < 1<<40):
		return errors.New("the proof has no time")
	}
	issued := time.Unix(int64(cl.Issued), 0)
	if issued.After(now.Add(c.Skew)) || issued.Before(now.Add(-c.Window)) {
		return errors.New("the proof is too old, or from the future")
	}
	if c.Nonces && !c.nonce.good(now, cl.Nonce) {
		return ErrNonce
	}
	return nil
}

// Nonce returns one for the next proof.
func (c *Checker) Nonce() string { return c.nonce.make(c.Now()) }

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
