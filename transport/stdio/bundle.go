package stdio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/internal/regular"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// Bundle asks a file with Sigstore bundles of one in-toto statement, as attest signs
// them or cosign attest-blob does. It vouches for an artifact if the trusted verifier
// accepts it, the predicate has this type, and one of its subjects has the SHA-256: what
// the predicate says is not looked at, so name a type whose every statement is a
// recommendation, such as manifest.PredicateType, and not one of scan results. The
// verifier is one of package envelope, for pinned keys, or of package sigstore, for
// identities. The file is read at each launch.
func Bundle(path, predicateType string, trusted envelope.Verifier) Verifier {
	return &bundle{path, predicateType, trusted, time.Now}
}

type bundle struct {
	path      string
	predicate string
	trusted   envelope.Verifier
	now       func() time.Time
}

// A statement is what is read of an in-toto Statement v1.
type statement struct {
	Type          string          `json:"_type"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
	Subject       []subject       `json:"subject"`
}

// A subject is a resource descriptor of in-toto.
type subject struct {
	Name             string            `json:"name"`
	Digest           map[string]string `json:"digest"`
	URI              string            `json:"uri"`
	MediaType        string            `json:"mediaType"`
	DownloadLocation string            `json:"downloadLocation"`
	Content          string            `json:"content"`
	Annotations      json.RawMessage   `json:"annotations"`
}

const statementType = "https://in-toto.io/Statement/v1"

// Verify implements [Verifier].
func (b *bundle) Verify(ctx context.Context, sha256, _ string) error {
	if b.trusted == nil || b.predicate == "" {
		return errors.New("stdio: Bundle needs a predicate type and a verifier")
	}
	file, err := regular.ReadFile(b.path, envelope.MaxBundle)
	if err != nil {
		return err
	}
	signed, err := envelope.Open(ctx, file, b.trusted)
	if err != nil {
		return err
	}
	for _, s := range signed {
		if !s.Time.IsZero() {
			continue // a trusted time within the signer's life
		}
		if err := s.Covers(b.now()); err != nil {
			return err
		}
	}
	var said statement
	if err := strictjson.Decode(signed[0].Payload, envelope.MaxBundle, &said); err != nil {
		return fmt.Errorf("the statement: %w", err)
	}
	switch {
	case said.Type != statementType:
		return fmt.Errorf("the statement is no %s", statementType)
	case said.PredicateType != b.predicate:
		return fmt.Errorf("the predicate is no %s", b.predicate)
	case !slices.ContainsFunc(said.Subject, func(s subject) bool { return s.Digest["sha256"] == sha256 }):
		return errors.New("the statement is about something else")
	}
	return nil
}
