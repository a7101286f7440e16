package stdio

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// ErrArtifact is wrapped by errors about what was to run and is not what was verified.
var ErrArtifact = errors.New("artifact")

// An Artifact says what runs, and how that is known: [Program], [Tree] or [System]. The
// bytes that are verified are a private copy, and the copy is what runs: what becomes of
// the files on the disk, also while they are read, changes nothing.
type Artifact interface {
	// prepare verifies what runs. Whatever it returns with an error is closed.
	prepare(ctx context.Context, c command) (*prepared, error)
}

// A Verifier says whether somebody it trusts vouches for an artifact of that SHA-256, in
// lower-case hexadecimal; every error means no. The name is the base name of the program
// or folder, for the message. It is safe for concurrent use. See [Bundle].
type Verifier interface {
	Verify(ctx context.Context, sha256, name string) error
}

// VerifierFunc makes a Verifier of a function.
type VerifierFunc func(ctx context.Context, sha256, name string) error

// Verify implements [Verifier].
func (f VerifierFunc) Verify(ctx context.Context, sha256, name string) error {
	return f(ctx, sha256, name)
}

// AppDir is where a verified tree, or the private copy of a program, appears inside.
const AppDir = "/app"

// A command is the program and its arguments as the user wrote them.
type command []string

// prepared is what was verified, ready to run.
type prepared struct {
	program *os.File        // sealed memory; nil: path
	path    string          // inside
	exec    string          // a path of the host that must be executable; "" if none
	mounts  []sandbox.Mount // private copies
	dir     string          // working directory inside; "" if it does not matter
	// relative is set if the working directory decides which file runs.
	relative bool
	digest   string         // "sha256:HEX"; "" if nothing was verified
	how      string         // for the report
	weak     string         // why the control is not fully in force; "" if it is
	system   string         // why Profile.System is needed; "" if it is not
	discard  []func() error // in reverse order
}

func (p *prepared) close() error {
	var faults []error
	for _, f := range slices.Backward(p.discard) {
		faults = append(faults, f())
	}
	p.discard = nil
	return errors.Join(faults...)
}

// expect is what an artifact must be: exactly one of the two is given.
type expect struct {
	digest   string // as the user wrote it
	verifier Verifier
}

// check compares a digest in hexadecimal, written as text where that is another form.
func (e expect) check(ctx context.Context, sum, text, name string) error {
	switch {
	case (e.digest == "") == (e.verifier == nil):
		return errors.New("say what it must be: either a digest or Signed")
	case e.verifier != nil:
		if err := e.verifier.Verify(ctx, sum, name); err != nil {
			return fmt.Errorf("%w: nobody trusted vouches for sha256:%s: %w", ErrArtifact, sum, err)
		}
		return nil
	case subtle.ConstantTimeCompare([]byte(e.digest), []byte(text)) == 0:
		return fmt.Errorf("%w: expected %s, found %s: review what changed, and only then the digest", ErrArtifact, e.digest, text)
	}
	return nil
}

func isSHA256(digest string) bool {
	raw, err := hex.DecodeString(digest)
	return err == nil && len(raw) == 32 && strings.ToLower(digest) == digest
}

// unverified runs a command that nobody verified: the caller allowed that.
func unverified(c command) (*prepared, error) {
	path, err := find(c[0])
	if err != nil {
		return nil, err
	}
	return &prepared{path: path, exec: path, how: "none", weak: "nothing was verified: give Launch.Artifact"}, nil
}
