package rest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
)

// MaxToken bounds a token, in bytes.
const MaxToken = 16 << 10

// Token reads a token, password or assertion from the provider that holds it, anew
// each time, because files rotate. The caller clears what it gets.
func Token(ctx context.Context, from creds.Provider, what string) ([]byte, error) {
	token, err := Content(ctx, from)
	if err == nil {
		err = CheckToken(token)
	}
	if err != nil {
		clear(token)
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return token, nil
}

// Content reads a secret of any kind from the provider that holds it. The caller clears
// what it gets. A secret with a lease is refused: nobody would revoke it.
func Content(ctx context.Context, from creds.Provider) ([]byte, error) {
	if _, ok := from.(creds.Revoker); ok {
		return nil, errLeased
	}
	m, err := from.Issue(ctx, creds.Spec{}, creds.Request{})
	if err != nil {
		return nil, err
	}
	secret := m.Secret.Reveal()
	m.Secret.Close()
	for _, part := range m.Parts {
		part.Close()
	}
	return secret, nil
}

var errLeased = errors.New("its secrets have leases, which nobody would revoke here: give a provider of a static one")

// CloseSource closes a provider that another one asks: whoever closes the other does not
// know of it. A source that several ask is closed by each.
func CloseSource(from creds.Provider) error {
	if c, ok := from.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// CheckToken refuses what cannot be a token: empty, too long, or with other than
// visible ASCII characters, which could break out of a header.
func CheckToken(token []byte) error {
	if len(token) == 0 {
		return errors.New("is empty")
	}
	if len(token) > MaxToken {
		return fmt.Errorf("is longer than %d bytes", MaxToken)
	}
	for _, c := range token {
		if c <= ' ' || c > '~' {
			return errors.New("has other than visible ASCII characters: is it the right file, without blanks or line feeds within?")
		}
	}
	return nil
}

// CheckSource checks the provider of a token as far as can be known at start.
func CheckSource(from creds.Provider, what string) error {
	if from == nil {
		return fmt.Errorf("%s is missing", what)
	}
	if _, ok := from.(creds.Revoker); ok {
		return fmt.Errorf("%s: %w", what, errLeased)
	}
	if c, ok := from.(creds.Checker); ok {
		if err := c.Check(creds.Spec{}); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// NoParams refuses parameters: the providers here are configured where they are made.
func NoParams(s creds.Spec) error {
	for key := range s.Params() {
		return fmt.Errorf("parameter %q is not known: this provider takes none", key)
	}
	return nil
}

// MaxLife is the longest life of a credential that is believed.
const MaxLife = 24 * time.Hour

// Expiry returns when a credential expires that was asked for at a time and lives for
// some seconds, and no later than most after it. A life that is missing, negative or
// absurd is refused.
func Expiry(asked time.Time, seconds *int64, most time.Duration) (time.Time, error) {
	switch {
	case seconds == nil:
		return time.Time{}, errors.New("the answer does not say when the credential expires")
	case *seconds <= 0 || *seconds > int64(MaxLife/time.Second):
		return time.Time{}, fmt.Errorf("the answer gives the credential a life of %d s: between 1 and %d can be right", *seconds, int64(MaxLife/time.Second))
	}
	return asked.Add(min(time.Duration(*seconds)*time.Second, most)), nil
}

// hashKey makes fingerprints worthless outside this process.
var hashKey = func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}()

// Fingerprint returns a keyed hash of the parts, kept apart whatever they hold. It
// differs from process to process, so that it tells nobody else anything of a secret.
func Fingerprint(parts ...string) string {
	h := hmac.New(sha256.New, hashKey)
	for _, part := range parts {
		_, _ = h.Write(strconv.AppendInt(nil, int64(len(part)), 10)) // a hash takes all
		_, _ = h.Write([]byte{':'})
		_, _ = h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Digest returns the SHA-256 of a policy as the record wants it: "sha256:HEX".
func Digest(policy string) string {
	sum := sha256.Sum256([]byte(policy))
	return "sha256:" + hex.EncodeToString(sum[:])
}
