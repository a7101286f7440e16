package keyless

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
)

// judge checks a bundle that the engine accepted once more, against what engines are
// known to accept, and says what is signed. It relies on the engine for the chain of
// the certificate and for the signature alone.
func (p *Policy) judge(m root.TrustedMaterial, b *bundle.Bundle) (*envelope.Verified, error) {
	content, err := b.VerificationContent()
	if err != nil {
		return nil, err
	}
	leaf := content.Certificate()
	if leaf == nil {
		return nil, errors.New("it was not signed with a certificate")
	}
	if err := p.judgeCertificate(leaf); err != nil {
		return nil, err
	}
	log, err := judgeEntries(m, b)
	if err != nil {
		return nil, err
	}
	times, err := p.times(m, b)
	if err != nil {
		return nil, err
	}
	for _, t := range times {
		if t.Before(leaf.NotBefore) || t.After(leaf.NotAfter) {
			return nil, errors.New("a timestamp is outside the life of the certificate")
		}
	}
	dsse := b.GetDsseEnvelope()
	return &envelope.Verified{
		PayloadType: dsse.GetPayloadType(), Payload: dsse.GetPayload(),
		Signer: p.Subject + " issued by " + p.Issuer, ID: identity(p.Subject, p.Issuer),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(),
		Time: slices.MinFunc(times, time.Time.Compare).UTC(), Log: log,
	}, nil
}

// judgeCertificate compares exactly, and refuses a certificate of which two readers
// could take different names.
func (p *Policy) judgeCertificate(leaf *x509.Certificate) error {
	if n := len(leaf.URIs) + len(leaf.EmailAddresses) + len(leaf.DNSNames) + len(leaf.IPAddresses); n > 1 {
		return fmt.Errorf("the certificate bears %d names, want one", n)
	}
	s, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return err
	}
	for _, e := range leaf.Extensions {
		//nolint:staticcheck // deprecated and still written, so that older readers go by it
		if e.Id.Equal(certificate.OIDIssuer) && string(e.Value) != s.Issuer {
			return errors.New("the certificate names two issuers")
		}
	}
	switch {
	case s.SubjectAlternativeName != p.Subject:
		return fmt.Errorf("signed by %.256q, want %q", s.SubjectAlternativeName, p.Subject)
	case s.Issuer != p.Issuer:
		return fmt.Errorf("the identity was issued by %.256q, want %q", s.Issuer, p.Issuer)
	}
	return certificate.CompareExtensions(p.Build, s.Extensions)
}

// judgeEntries checks that the entries are of known logs and none was merely passed
// over, and names the first. Its index is the one that the inclusion proof is for.
func judgeEntries(m root.TrustedMaterial, b *bundle.Bundle) (string, error) {
	entries, err := b.TlogEntries()
	if err != nil {
		return "", err
	}
	if len(entries) == 0 {
		return "", errors.New("no log entry")
	}
	logs := m.RekorLogs()
	for i, e := range entries {
		if _, ok := logs[hex.EncodeToString([]byte(e.LogKeyID()))]; !ok {
			return "", fmt.Errorf("log entry %d is of a log that the trusted root does not name", i)
		}
		if e.HasInclusionPromise() {
			if err := tlog.VerifySET(e, logs); err != nil {
				return "", fmt.Errorf("log entry %d: %w", i, err)
			}
		}
	}
	first := entries[0]
	index := first.TransparencyLogEntry().GetInclusionProof().GetLogIndex()
	if first.IsRekorV2() {
		index = first.LogIndex()
	}
	return origin(first) + "#" + strconv.FormatInt(index, 10), nil
}

// times returns when the signature existed, according to each authority and log that
// vouches for it. The logs must have been in service then.
func (p *Policy) times(m root.TrustedMaterial, b *bundle.Bundle) ([]time.Time, error) {
	logged, err := verify.VerifyTlogEntry(b, m, p.Logs, true)
	if err != nil {
		return nil, err
	}
	signed, _, err := verify.VerifySignedTimestamp(b, m)
	if err != nil {
		return nil, err
	}
	var times []time.Time
	for _, t := range logged {
		times = append(times, t.Time)
	}
	for _, t := range signed {
		times = append(times, t.Time)
	}
	if len(times) < p.Times {
		return nil, fmt.Errorf("timestamps: threshold not met: %d of %d", len(times), p.Times)
	}
	entries, err := b.TlogEntries()
	if err != nil {
		return nil, err
	}
	for i, e := range entries {
		log := m.RekorLogs()[hex.EncodeToString([]byte(e.LogKeyID()))]
		for _, t := range times {
			if t.Before(log.ValidityPeriodStart) || !log.ValidityPeriodEnd.IsZero() && t.After(log.ValidityPeriodEnd) {
				return nil, fmt.Errorf("log entry %d: its log was not in service at the time", i)
			}
		}
	}
	return times, nil
}
