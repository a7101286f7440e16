package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/internal/jcs"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// PredicateType is the type of what is signed about an entry.
const PredicateType = "https://github.com/mcpsec/mcpsec-go/attestation/mcp-registry-entry/v1"

const (
	statementType = "https://in-toto.io/Statement/v1"
	payloadType   = envelope.PayloadType
	subjectName   = "server.json"
	maxStatement  = 64 << 10
)

type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type subject struct {
	Name   string `json:"name"`
	Digest digest `json:"digest"`
}

type digest struct {
	SHA256 string `json:"sha256"`
}

type predicate struct {
	Registry string    `json:"registry"` // base URL, as in the policy
	Name     string    `json:"name"`     // of the server
	Version  string    `json:"version"`
	IssuedAt time.Time `json:"issuedAt"` // UTC, whole seconds
}

// Statement returns what has to be signed about an entry, for the payload type
// "application/vnd.in-toto+json". registry is the base URL as it stands in policies.
func Statement(registry string, serverJSON []byte, issued time.Time) ([]byte, error) {
	s, err := parse(serverJSON)
	if err != nil {
		return nil, fmt.Errorf("attest/registry: server.json: %w", err)
	}
	if err := checkBase(registry); err != nil {
		return nil, fmt.Errorf("attest/registry: %w", err)
	}
	raw, err := json.Marshal(statement{
		Type: statementType, PredicateType: PredicateType,
		Subject: []subject{{Name: subjectName, Digest: digest{sum(serverJSON)}}},
		Predicate: predicate{
			Registry: registry, Name: s.Name, Version: s.Version, IssuedAt: issued.UTC().Truncate(time.Second),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("attest/registry: %w", err)
	}
	return jcs.Append(nil, raw)
}

// decode reads a statement whose signature was verified.
func decode(payload []byte) (*statement, error) {
	var s statement
	if err := strictjson.Decode(payload, maxStatement, &s); err != nil {
		return nil, err
	}
	switch {
	case s.Type != statementType:
		return nil, fmt.Errorf("_type is not %s", statementType)
	case s.PredicateType != PredicateType:
		return nil, fmt.Errorf("predicateType is %.100q, not %s", s.PredicateType, PredicateType)
	case len(s.Subject) != 1 || s.Subject[0].Name != subjectName:
		return nil, fmt.Errorf("the subject is not %s alone", subjectName)
	case s.Predicate.IssuedAt.IsZero():
		return nil, errors.New("no issuedAt")
	}
	return &s, nil
}

func sum(data []byte) string {
	hash := sha256.Sum256(data)
	return hex.EncodeToString(hash[:])
}
