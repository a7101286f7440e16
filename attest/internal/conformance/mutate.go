package conformance

import (
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/proto"
)

// parts are the pieces of a bundle of a lab that a library parses, each as a pointer to
// its bytes, or to text.
func parts(b *protobundle.Bundle) (raw []*[]byte, text []*string) {
	m, e := b.GetVerificationMaterial(), b.GetDsseEnvelope()
	raw = []*[]byte{&e.Payload, &e.GetSignatures()[0].Sig, &m.GetCertificate().RawBytes}
	for _, t := range m.GetTimestampVerificationData().GetRfc3161Timestamps() {
		raw = append(raw, &t.SignedTimestamp)
	}
	for _, t := range m.GetTlogEntries() {
		p := t.GetInclusionProof()
		raw = append(raw, &t.CanonicalizedBody, &t.GetLogId().KeyId, &p.RootHash, &p.Hashes[0])
		text = append(text, &p.GetCheckpoint().Envelope, &t.GetKindVersion().Kind, &t.GetKindVersion().Version)
		if promise := t.GetInclusionPromise(); promise != nil {
			raw = append(raw, &promise.SignedEntryTimestamp)
		}
	}
	return raw, text
}

// Pieces are the bytes of each part.
func Pieces(b *protobundle.Bundle) [][]byte {
	raw, text := parts(b)
	pieces := make([][]byte, 0, len(raw)+len(text))
	for _, r := range raw {
		pieces = append(pieces, *r)
	}
	for _, t := range text {
		pieces = append(pieces, []byte(*t))
	}
	return pieces
}

// Mutate returns a copy of the bundle with other bytes for one part.
func Mutate(b *protobundle.Bundle, part uint8, data []byte) *protobundle.Bundle {
	c := proto.CloneOf(b)
	raw, text := parts(c)
	if i := int(part) % (len(raw) + len(text)); i < len(raw) {
		*raw[i] = data
	} else {
		*text[i-len(raw)] = string(data)
	}
	return c
}
