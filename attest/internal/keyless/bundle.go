package keyless

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
)

// maxWitnesses bounds the log entries and the timestamps of one bundle. Each of them
// costs signature checks.
const maxWitnesses = 8

// load reads one bundle, first by the strict reader of envelope and then by the
// library, and refuses all that a signature by certificate does not need. What the
// library reads must be what the strict reader read.
func load(data []byte) (*bundle.Bundle, error) {
	said, err := envelope.Parse(data)
	if err != nil {
		return nil, err
	}
	b := new(bundle.Bundle)
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("%w: %w", envelope.ErrBundle, err)
	}
	dsse, material := b.GetDsseEnvelope(), b.GetVerificationMaterial()
	switch {
	case said.Keyed:
		return nil, errors.New("the bundle was signed with a key, and only certificates are trusted")
	case len(dsse.GetSignatures()) != 1 || !bytes.Equal(dsse.GetSignatures()[0].GetSig(), said.Signature),
		!bytes.Equal(dsse.GetPayload(), said.Payload) || dsse.GetPayloadType() != said.PayloadType,
		!bytes.Equal(material.GetCertificate().GetRawBytes(), said.Certificate):
		return nil, fmt.Errorf("%w: two readers disagree on it", envelope.ErrBundle)
	case len(material.GetTlogEntries()) > maxWitnesses:
		return nil, fmt.Errorf("%w: more than %d log entries", envelope.ErrBundle, maxWitnesses)
	case len(material.GetTimestampVerificationData().GetRfc3161Timestamps()) > maxWitnesses:
		return nil, fmt.Errorf("%w: more than %d timestamps", envelope.ErrBundle, maxWitnesses)
	}
	return b, loadEntries(b, said.Signature)
}

// loadEntries refuses log entries that leave it open what is logged. The libraries
// compare entry and bundle only where they take the entry for one of Rekor v1, and
// only its checkpoint tells them whether to prove the entry itself or a rebuilt one:
// the two must not say different things.
func loadEntries(b *bundle.Bundle, signature []byte) error {
	entries, err := b.TlogEntries()
	if err != nil {
		return fmt.Errorf("%w: %w", envelope.ErrBundle, err)
	}
	for i, e := range entries {
		switch {
		case !e.HasInclusionProof():
			return fmt.Errorf("log entry %d has no inclusion proof", i)
		case e.IsRekorV2() == hasTreeID(origin(e)):
			return fmt.Errorf("log entry %d and its checkpoint are of different kinds of log", i)
		case tlog.ValidateEntry(e) != nil || !bytes.Equal(e.Signature(), signature):
			return fmt.Errorf("log entry %d is about another signature", i)
		}
	}
	return nil
}

// origin names the log that made the entry, by the first line of its checkpoint.
func origin(e *tlog.Entry) string {
	line, _, _ := strings.Cut(e.TransparencyLogEntry().GetInclusionProof().GetCheckpoint().GetEnvelope(), "\n")
	return line
}

// hasTreeID reports whether an origin is of the form that Rekor v1 has: "HOST - TREE".
func hasTreeID(origin string) bool {
	_, tree, ok := strings.Cut(origin, " - ")
	return ok && tree != "" && strings.Trim(tree, "0123456789") == ""
}
