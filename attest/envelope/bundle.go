package envelope

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/mcpsec/mcpsec-go/internal/printable"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// A Bundle is what a bundle says. Nothing of it is verified.
type Bundle struct {
	PayloadType string
	Payload     []byte
	Signature   []byte // the one signature of the envelope
	// Keyed is set if the bundle names a public key, and Hint is what it says of it.
	// Otherwise Certificate is the DER of the signing certificate.
	Keyed       bool
	Hint        string
	Certificate []byte
}

// maxEvidence bounds log entries and timestamps of one bundle, each.
const maxEvidence = 32

// The JSON form of a Sigstore bundle v0.3, as far as it may be used here.
type (
	bundleJSON struct {
		MediaType string        `json:"mediaType"`
		Material  *materialJSON `json:"verificationMaterial,omitempty"`
		Envelope  *envelopeJSON `json:"dsseEnvelope,omitempty"`
	}
	materialJSON struct {
		PublicKey   *hintJSON        `json:"publicKey,omitempty"`
		Certificate *certificateJSON `json:"certificate,omitempty"`
		Entries     []entryJSON      `json:"tlogEntries,omitempty"`
		Timestamps  *timestampsJSON  `json:"timestampVerificationData,omitempty"`
	}
	hintJSON struct {
		Hint string `json:"hint,omitempty"`
	}
	certificateJSON struct {
		RawBytes string `json:"rawBytes"`
	}
	timestampsJSON struct {
		RFC3161 []timestampJSON `json:"rfc3161Timestamps"`
	}
	timestampJSON struct {
		Signed string `json:"signedTimestamp"`
	}
	entryJSON struct {
		LogIndex       *string      `json:"logIndex"`
		LogID          *logIDJSON   `json:"logId"`
		KindVersion    *kindJSON    `json:"kindVersion"`
		IntegratedTime *string      `json:"integratedTime"`
		Promise        *promiseJSON `json:"inclusionPromise"`
		Proof          *proofJSON   `json:"inclusionProof"`
		Body           string       `json:"canonicalizedBody"`
	}
	logIDJSON struct {
		KeyID string `json:"keyId"`
	}
	kindJSON struct {
		Kind    string `json:"kind"`
		Version string `json:"version"`
	}
	promiseJSON struct {
		Signed string `json:"signedEntryTimestamp"`
	}
	proofJSON struct {
		LogIndex   *string         `json:"logIndex"`
		RootHash   string          `json:"rootHash"`
		TreeSize   *string         `json:"treeSize"`
		Hashes     []string        `json:"hashes"`
		Checkpoint *checkpointJSON `json:"checkpoint"`
	}
	checkpointJSON struct {
		Envelope string `json:"envelope"`
	}
	envelopeJSON struct {
		Payload     string          `json:"payload"`
		PayloadType string          `json:"payloadType"`
		Signatures  []signatureJSON `json:"signatures"`
	}
	signatureJSON struct {
		Sig   string `json:"sig"`
		KeyID string `json:"keyid,omitempty"`
	}
)

// Parse reads the JSON of one Sigstore bundle v0.3 that holds a DSSE envelope with one
// signature. It verifies no signature. What it accepts is narrower than the protobuf JSON
// that Sigstore's own libraries read, so that no two readers see two payloads: names
// only in camel case, no member unknown, twice or null, bytes only in standard base64 with
// padding, 64-bit numbers as strings; no media type but [MediaType], no certificate
// chain, no message signature. Errors wrap [ErrBundle].
func Parse(data []byte) (*Bundle, error) {
	var in bundleJSON
	if err := strictjson.Decode(data, MaxBundle, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	b, err := in.check()
	if err == nil && hasNull(data) {
		err = fmt.Errorf("a member is null")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return b, nil
}

func (in *bundleJSON) check() (*Bundle, error) {
	switch {
	case in.MediaType != MediaType:
		return nil, fmt.Errorf("mediaType is %s, not %s", quote(in.MediaType), MediaType)
	case in.Material == nil:
		return nil, fmt.Errorf("verificationMaterial is missing")
	case (in.Material.PublicKey == nil) == (in.Material.Certificate == nil):
		return nil, fmt.Errorf("verificationMaterial has not one of publicKey and certificate")
	case in.Envelope == nil:
		return nil, fmt.Errorf("dsseEnvelope is missing")
	case len(in.Envelope.Signatures) != 1:
		return nil, fmt.Errorf("dsseEnvelope has %d signatures, not one", len(in.Envelope.Signatures))
	case in.Envelope.PayloadType == "":
		return nil, fmt.Errorf("dsseEnvelope.payloadType is missing")
	}
	b := &Bundle{PayloadType: in.Envelope.PayloadType}
	d := decoder{}
	b.Payload = d.bytes("dsseEnvelope.payload", in.Envelope.Payload)
	b.Signature = d.bytes("dsseEnvelope.signatures[0].sig", in.Envelope.Signatures[0].Sig)
	if c := in.Material.Certificate; c != nil {
		b.Certificate = d.bytes("certificate.rawBytes", c.RawBytes)
	} else {
		b.Keyed, b.Hint = true, in.Material.PublicKey.Hint
	}
	d.evidence(in.Material)
	return b, d.err
}

// A decoder reads values of a bundle until the first that is wrong.
type decoder struct{ err error }

func (d *decoder) failf(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// bytes decodes the one way to write bytes. Go's decoder skips line feeds.
func (d *decoder) bytes(name, text string) []byte {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) == 0 || base64.StdEncoding.EncodedLen(len(raw)) != len(text) {
		d.failf("%s is missing or not standard base64 with padding", name)
	}
	return raw
}

// number checks a 64-bit number, which protobuf JSON writes as a string.
func (d *decoder) number(name string, text *string) {
	if text == nil {
		return
	}
	n, err := strconv.ParseInt(*text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != *text {
		d.failf("%s is not a decimal number in a string", name)
	}
}

// evidence checks the form of what others said of the signature.
func (d *decoder) evidence(m *materialJSON) {
	if m.Timestamps != nil {
		if n := len(m.Timestamps.RFC3161); n > maxEvidence {
			d.failf("%d timestamps, the limit is %d", n, maxEvidence)
		}
		for _, t := range m.Timestamps.RFC3161 {
			d.bytes("signedTimestamp", t.Signed)
		}
	}
	if n := len(m.Entries); n > maxEvidence {
		d.failf("%d tlogEntries, the limit is %d", n, maxEvidence)
	}
	for i := range m.Entries {
		d.entry(&m.Entries[i])
	}
}

func (d *decoder) entry(e *entryJSON) {
	d.number("logIndex", e.LogIndex)
	d.number("integratedTime", e.IntegratedTime)
	d.bytes("canonicalizedBody", e.Body)
	if e.LogID != nil {
		d.bytes("logId.keyId", e.LogID.KeyID)
	}
	if e.Promise != nil {
		d.bytes("signedEntryTimestamp", e.Promise.Signed)
	}
	p := e.Proof
	if p == nil {
		return
	}
	d.number("inclusionProof.logIndex", p.LogIndex)
	d.number("inclusionProof.treeSize", p.TreeSize)
	d.bytes("inclusionProof.rootHash", p.RootHash)
	if len(p.Hashes) > 64 {
		d.failf("inclusionProof has %d hashes, the limit is 64", len(p.Hashes))
		return
	}
	for _, h := range p.Hashes {
		d.bytes("inclusionProof.hashes", h)
	}
}

// hasNull reports whether JSON that is known to be valid has a null in it.
func hasNull(data []byte) bool {
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case 'n':
			return true
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		}
	}
	return false
}

// quote puts what a stranger wrote into an error.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "..."
	}
	return string(printable.AppendString(nil, s))
}
