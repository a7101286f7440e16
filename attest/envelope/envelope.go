package envelope

import (
	"context"
	"fmt"
	"time"
)

const (
	// MediaType is the only kind of bundle that is read and written: a Sigstore bundle v0.3.
	MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// PayloadType is the only kind of payload that [Open] accepts: an in-toto statement.
	PayloadType = "application/vnd.in-toto+json"
)

// Limits of what is read.
const (
	MaxBundle  = 2 << 20          // of one bundle, in bytes
	MaxBundles = 16               // in a file
	MaxFile    = 8 << 20          // of a file, in bytes
	MaxTime    = 30 * time.Second // of one [Open]
)

// A Verifier says whether one bundle was signed by somebody it trusts. It is safe for
// concurrent use, and every error means no.
type Verifier interface {
	// Verify checks the JSON of one bundle and returns what was signed.
	Verify(ctx context.Context, bundle []byte) (*Verified, error)
	// Describe names whom the verifier trusts, in a few words, for errors and records.
	Describe() string
}

// A Verified is what a trusted signature covers.
type Verified struct {
	PayloadType string
	Payload     []byte
	// Signer says who signed, for people and the record: "key sha256:HEX" or
	// "IDENTITY issued by ISSUER".
	Signer string
	// ID is equal for two signatures only if the same key or identity made them.
	ID string
	// NotBefore and NotAfter bound the life of the key or certificate; zero when nothing
	// is known. An issue time outside is a forgery: see [Verified.Covers].
	NotBefore, NotAfter time.Time
	// Time is when the signature existed at the latest, according to a trusted timestamp
	// or log; zero without one.
	Time time.Time
	// Log is the origin and index of the entry in a transparency log, "ORIGIN#INDEX";
	// empty without one.
	Log string
}

// Covers reports whether the key or certificate lived at the time at which the payload
// says it was issued, both ends included. A signature without it lets somebody who finds
// an old key, or borrows a new one, write a date of their choice. Where a trusted time
// says when it was signed, the payload may be older than the signer: a certificate that
// lives for minutes is made when everything else is ready.
func (v *Verified) Covers(issued time.Time) error {
	notBefore := v.NotBefore
	if !v.Time.IsZero() {
		notBefore = time.Time{}
	}
	return within(v.Signer, issued, notBefore, v.NotAfter)
}

// within reports whether a time lies in a window; an end that is zero is open.
func within(signer string, t, notBefore, notAfter time.Time) error {
	const layout = time.RFC3339
	switch {
	case !notBefore.IsZero() && t.Before(notBefore):
		return fmt.Errorf("%w: %s is valid from %s on, not at %s", ErrWindow, signer, notBefore.UTC().Format(layout), t.UTC().Format(layout))
	case !notAfter.IsZero() && t.After(notAfter):
		return fmt.Errorf("%w: %s was valid until %s, not at %s", ErrWindow, signer, notAfter.UTC().Format(layout), t.UTC().Format(layout))
	}
	return nil
}

// A Signer makes bundles.
type Signer interface {
	// Sign returns the JSON of a bundle, one line without line feed.
	Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error)
	// Describe names whose signature it makes.
	Describe() string
}
