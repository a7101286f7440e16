package conformance

import (
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/sigstore"
)

func leaf(l *Lab, b *protobundle.Bundle) *x509.Certificate {
	l.TB.Helper()
	cert, err := x509.ParseCertificate(b.GetVerificationMaterial().GetCertificate().GetRawBytes())
	if err != nil {
		l.TB.Fatal(err)
	}
	return cert
}

func sigOf(b *protobundle.Bundle) []byte { return b.GetDsseEnvelope().GetSignatures()[0].GetSig() }

// again logs the signature of the bundle once more.
func again(l *Lab, b *protobundle.Bundle, v1 bool) *rekorv1.TransparencyLogEntry {
	l.TB.Helper()
	return l.Entry(Recipe{Payload: b.GetDsseEnvelope().GetPayload(), V1: v1}, sigOf(b), leaf(l, b))
}

func entries(b *protobundle.Bundle) []*rekorv1.TransparencyLogEntry {
	return b.GetVerificationMaterial().GetTlogEntries()
}

func addEntry(b *protobundle.Bundle, e *rekorv1.TransparencyLogEntry) {
	b.VerificationMaterial.TlogEntries = append(b.VerificationMaterial.TlogEntries, e)
}

func addOtherLog(l *Lab, b *protobundle.Bundle) { addEntry(b, again(l, b, true)) }

var witnessCases = []keylessCase{
	{name: "neg 23: no log entry", why: "not enough verified log entries", recipe: func(_ *Lab, r *Recipe) { r.Logless = true }},
	{
		name: "neg 24: entry of another statement by the same signer, v2", why: "about another signature", bundle: func(l *Lab, b *protobundle.Bundle) {
			b.VerificationMaterial.TlogEntries = entries(l.Bundle(Recipe{Request: builder, Payload: []byte(`{"_type":"other"}`)}))
		},
	},
	{
		name: "neg 24: entry of another statement by the same signer, v1", why: "about another signature", recipe: func(_ *Lab, r *Recipe) { r.V1 = true },
		bundle: func(l *Lab, b *protobundle.Bundle) {
			b.VerificationMaterial.TlogEntries = entries(l.Bundle(Recipe{Request: builder, V1: true, Payload: []byte(`{"_type":"other"}`)}))
		},
	},
	{
		name: "neg 24: v2 entry of another statement under a checkpoint of v1", why: "different kinds of log", bundle: func(l *Lab, b *protobundle.Bundle) {
			other := l.Bundle(Recipe{Request: builder, Payload: []byte(`{"_type":"other"}`)})
			e := l.V1.Add("hashedrekord", "0.0.2", entries(other)[0].GetCanonicalizedBody(), time.Now())
			e.InclusionPromise, e.IntegratedTime = nil, 0
			b.VerificationMaterial.TlogEntries = []*rekorv1.TransparencyLogEntry{e}
		},
	},
	{
		name: "neg 24: the same with the body of this statement", why: "different kinds of log", bundle: func(l *Lab, b *protobundle.Bundle) {
			e := l.V1.Add("hashedrekord", "0.0.2", entries(b)[0].GetCanonicalizedBody(), time.Now())
			e.InclusionPromise, e.IntegratedTime = nil, 0
			b.VerificationMaterial.TlogEntries = []*rekorv1.TransparencyLogEntry{e}
		},
	},
	{
		name: "neg 24: shown body is not the logged one", why: "about another signature", bundle: func(l *Lab, b *protobundle.Bundle) {
			digest := sha256.Sum256([]byte("other"))
			entries(b)[0].CanonicalizedBody = BodyV2(l.TB, digest[:], &rekortiles.Signature{
				Content:  []byte("other"),
				Verifier: &rekortiles.Verifier{KeyDetails: common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, Verifier: &rekortiles.Verifier_X509Certificate{X509Certificate: &common.X509Certificate{RawBytes: leaf(l, b).Raw}}},
			})
		},
	},
	{
		name: "neg 25: two entries of one log, threshold two", why: "not enough verified log entries", bundle: func(l *Lab, b *protobundle.Bundle) { addEntry(b, again(l, b, false)) },
		trust: []sigstore.Option{trustBuilder, sigstore.TransparencyLogs(2)},
	},
	{
		name: "neg 25: one entry twice, threshold two", why: "duplicate tlog entries", bundle: func(_ *Lab, b *protobundle.Bundle) { addEntry(b, entries(b)[0]) },
		trust: []sigstore.Option{trustBuilder, sigstore.TransparencyLogs(2)},
	},
	{name: "neg 25: one log, threshold two", why: "not enough verified log entries", trust: []sigstore.Option{trustBuilder, sigstore.TransparencyLogs(2)}},
	{
		name: "two timestamps of one authority, threshold two", why: "threshold not met", bundle: func(l *Lab, b *protobundle.Bundle) {
			d := b.GetVerificationMaterial().GetTimestampVerificationData()
			d.Rfc3161Timestamps = append(d.Rfc3161Timestamps, l.Time(sigOf(b), time.Now()).GetRfc3161Timestamps()...)
		},
		trust: []sigstore.Option{trustBuilder, sigstore.Timestamps(2)},
	},
	{name: "neg 26: Rekor v2 without a timestamp", why: "threshold not met", recipe: func(_ *Lab, r *Recipe) { r.Timeless = true }},
	{
		name: "neg 26: integrated time that nobody signed", why: "threshold not met", recipe: func(_ *Lab, r *Recipe) { r.V1, r.Timeless = true, true },
		bundle: func(_ *Lab, b *protobundle.Bundle) { entries(b)[0].InclusionPromise = nil },
	},
	{name: "neg 27: timestamp authority of another root", why: "threshold not met", root: func(t *testing.T, l *Lab) []byte {
		t.Helper()
		o := New(t)
		l.TSA, l.tsaLeaf = o.TSA, o.tsaLeaf
		return l.Root()
	}},
	{name: "neg 27: timestamp of another signature", why: "threshold not met", bundle: func(l *Lab, b *protobundle.Bundle) {
		b.VerificationMaterial.TimestampVerificationData = l.Time([]byte("other"), time.Now())
	}},
	{name: "log of another root", why: "not enough verified log entries", root: func(t *testing.T, l *Lab) []byte { t.Helper(); l.V2 = newLog(t, l.V2.Host, false); return l.Root() }},
	{name: "log known under another name", why: "unverified checkpoint signature", root: func(t *testing.T, l *Lab) []byte { t.Helper(); l.V2.Host = "other.example"; return l.Root() }},
	{
		name: "surplus entry of a log nobody knows", why: "does not name", bundle: func(l *Lab, b *protobundle.Bundle) {
			l.V1 = newLog(l.TB, l.V1.Host, true)
			addEntry(b, again(l, b, true))
			l.V1 = newLog(l.TB, l.V1.Host, true)
		},
	},
	{
		name: "surplus entry whose promise is forged", why: "unable to verify SET", bundle: func(l *Lab, b *protobundle.Bundle) {
			addOtherLog(l, b)
			entries(b)[1].InclusionPromise.SignedEntryTimestamp[8] ^= 1
		},
	},
	{name: "no inclusion proof", why: "inclusion proof missing", recipe: func(_ *Lab, r *Recipe) { r.V1 = true }, bundle: func(_ *Lab, b *protobundle.Bundle) { entries(b)[0].InclusionProof = nil }},
	{name: "inclusion proof of another place", why: "verifying inclusion", bundle: func(_ *Lab, b *protobundle.Bundle) { entries(b)[0].LogIndex-- }},
	{name: "checkpoint changed", why: "unverified checkpoint signature", bundle: func(_ *Lab, b *protobundle.Bundle) {
		cp := entries(b)[0].GetInclusionProof().GetCheckpoint()
		cp.Envelope = cp.GetEnvelope() + "\n"
	}},
	{name: "nine entries", why: "more than 8 log entries", bundle: func(l *Lab, b *protobundle.Bundle) {
		for range 8 {
			addEntry(b, again(l, b, false))
		}
	}},
	{name: "nine timestamps", why: "more than 8 timestamps", bundle: func(_ *Lab, b *protobundle.Bundle) {
		d := b.GetVerificationMaterial().GetTimestampVerificationData()
		d.Rfc3161Timestamps = slices.Repeat(d.GetRfc3161Timestamps(), 9)
	}},
}

var timeCases = []keylessCase{
	{name: "neg 20: certificate expired when it was timestamped", why: "leaf certificate verification failed", recipe: func(_ *Lab, r *Recipe) {
		r.NotBefore, r.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-50*time.Minute)
	}},
	{name: "neg 20: certificate expired when it was logged", why: "integrated time outside certificate validity", recipe: func(_ *Lab, r *Recipe) {
		r.V1, r.Timeless = true, true
		r.NotBefore, r.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-50*time.Minute)
	}},
	{
		name: "neg 20: one time inside the life of the certificate and one outside", why: "integrated time outside certificate validity", recipe: func(_ *Lab, r *Recipe) { r.NotBefore = time.Now().Add(-2 * time.Minute) },
		bundle: func(l *Lab, b *protobundle.Bundle) {
			addEntry(b, l.Entry(Recipe{Payload: b.GetDsseEnvelope().GetPayload(), V1: true, At: time.Now().Add(time.Hour)}, sigOf(b), leaf(l, b)))
		},
	},
	{name: "neg 21: authority out of service when it issued", why: "leaf certificate verification failed", lab: func(l *Lab) {
		l.CAEnd, l.Other = time.Now().Add(-time.Hour), newAuthority(l.TB, "newer", x509.ExtKeyUsageCodeSigning)
	}},
	{
		name: "neg 21: log out of service when it logged, v2", why: "not in service", lab: func(l *Lab) { l.LogEnd = time.Now().Add(-time.Hour) },
	},
	{
		name: "neg 21: log out of service when it logged, v1", why: "not enough verified log entries", lab: func(l *Lab) { l.LogEnd = time.Now().Add(-time.Hour) },
		recipe: func(_ *Lab, r *Recipe) { r.V1 = true },
	},
	{
		name: "neg 31: trusted root of which every authority has expired", why: "has expired", lab: func(l *Lab) { l.CAEnd = time.Now().Add(-time.Hour) },
		recipe: func(_ *Lab, r *Recipe) {
			r.At = time.Now().Add(-2 * time.Hour)
			r.NotBefore = r.At.Add(-time.Minute)
		},
	},
}

var trapCases = []keylessCase{
	{name: "neg 1: one byte of the payload", why: "verifying inclusion", bundle: func(_ *Lab, b *protobundle.Bundle) { b.GetDsseEnvelope().Payload[20] ^= 1 }},
	{name: "neg 2: payload type", why: "payloadType", bundle: func(_ *Lab, b *protobundle.Bundle) { b.GetDsseEnvelope().PayloadType = "application/json" }},
	{name: "neg 2: payload that is no statement", why: "payloadType", recipe: func(_ *Lab, r *Recipe) { r.PayloadType = "application/json" }},
	{name: "neg 3: no signature", why: "0 signatures", bundle: func(_ *Lab, b *protobundle.Bundle) { b.GetDsseEnvelope().Signatures = nil }},
	{name: "neg 3: empty signature", why: "signatures[0].sig", bundle: func(_ *Lab, b *protobundle.Bundle) { b.GetDsseEnvelope().GetSignatures()[0].Sig = nil }},
	{name: "neg 4: two signatures, the first good", why: "2 signatures", bundle: func(_ *Lab, b *protobundle.Bundle) {
		e := b.GetDsseEnvelope()
		e.Signatures = append(e.Signatures, e.GetSignatures()[0])
	}},
	{name: "neg 5: signature of another key", why: "could not verify envelope", bundle: func(l *Lab, b *protobundle.Bundle) {
		e := b.GetDsseEnvelope()
		cert := b.GetVerificationMaterial().GetCertificate() // a bundle signed with a key has none
		e.GetSignatures()[0].Sig = sign(l.TB, newKey(l.TB), envelope.PAE(e.GetPayloadType(), e.GetPayload()))
		if cert != nil {
			b.VerificationMaterial.TlogEntries = []*rekorv1.TransparencyLogEntry{again(l, b, false)}
			b.VerificationMaterial.TimestampVerificationData = l.Time(sigOf(b), time.Now())
		}
	}},
	{name: "neg 7: message signature", why: "messageSignature", bundle: func(_ *Lab, b *protobundle.Bundle) {
		e := b.GetDsseEnvelope()
		digest := sha256.Sum256(envelope.PAE(e.GetPayloadType(), e.GetPayload()))
		b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &common.MessageSignature{
			MessageDigest: &common.HashOutput{Algorithm: common.HashAlgorithm_SHA2_256, Digest: digest[:]}, Signature: e.GetSignatures()[0].GetSig(),
		}}
	}},
	{name: "neg 8: another predicate type", why: "predicateType", recipe: func(_ *Lab, r *Recipe) {
		r.Payload = replace(r.Payload, "mcp-manifest/v1", "mcp-manifest/v2")
	}},
	{name: "neg 9: unknown member of the predicate", why: "unknown member", recipe: func(_ *Lab, r *Recipe) { r.Payload = replace(r.Payload, `"closed":true`, `"closed":true,"extra":1`) }},
	{name: "neg 10, trap 3: member twice in the statement", why: "decoding json", recipe: func(_ *Lab, r *Recipe) {
		r.Payload = replace(r.Payload, `"_type":`, `"_type":"https://in-toto.io/Statement/v0.1","_type":`)
	}},
	{name: "neg 10: member twice in the predicate, once escaped", why: "decoding json", recipe: func(_ *Lab, r *Recipe) {
		r.Payload = replace(r.Payload, `"closed":true`, `"closed":true,"\u0063losed":true`)
	}},
	{name: "neg 10, trap 4: member in another case", why: "decoding json", recipe: func(_ *Lab, r *Recipe) {
		r.Payload = replace(r.Payload, `"predicateType":`, `"PREDICATETYPE":"https://evil.example/v1","predicateType":`)
	}},
	{name: "neg 11: byte order mark", why: "decoding json", recipe: func(_ *Lab, r *Recipe) { r.Payload = append([]byte("\ufeff"), r.Payload...) }},
	{name: "neg 14, trap 6: media type v0.1", why: "mediaType", bundle: mediaType("application/vnd.dev.sigstore.bundle+json;version=0.1")},
	{name: "neg 14: media type v0.2", why: "mediaType", bundle: mediaType("application/vnd.dev.sigstore.bundle+json;version=0.2")},
	{name: "neg 14: media type v0.3 in the older spelling", why: "mediaType", bundle: mediaType("application/vnd.dev.sigstore.bundle+json;version=0.3")},
	{name: "neg 14: media type v0.4", why: "mediaType", bundle: mediaType("application/vnd.dev.sigstore.bundle.v0.4+json")},
	{name: "neg 15, trap 5: a subject that the manifest does not derive", why: "is not what the predicate says", recipe: func(_ *Lab, r *Recipe) {
		r.Payload = replace(r.Payload, `"subject":[`, `"subject":[{"digest":{"sha256":"`+digestOfNothing+`"},"name":"executable/linux-amd64"},`)
	}},
	{name: "neg 29: key bundle under a keyless policy", why: "signed with a key", bundle: func(_ *Lab, b *protobundle.Bundle) {
		b.VerificationMaterial.Content = &protobundle.VerificationMaterial_PublicKey{PublicKey: &common.PublicKeyIdentifier{Hint: "release"}}
	}},
	{name: "certificate chain in the bundle", why: "x509CertificateChain", bundle: func(l *Lab, b *protobundle.Bundle) {
		b.VerificationMaterial.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: &common.X509CertificateChain{
			Certificates: []*common.X509Certificate{{RawBytes: leaf(l, b).Raw}, {RawBytes: l.CA.cert.Raw}},
		}}
	}},
	{name: "certificate that is none", why: "malformed certificate", bundle: func(_ *Lab, b *protobundle.Bundle) {
		b.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &common.X509Certificate{RawBytes: []byte("none")}}
	}},
	{name: "log entry that is none", why: "kind in body is required", bundle: func(_ *Lab, b *protobundle.Bundle) { entries(b)[0].CanonicalizedBody = []byte(`{}`) }},
	{name: "neg 13: log entry of v1 without signatures", why: "not a bundle", recipe: func(_ *Lab, r *Recipe) { r.V1 = true }, bundle: func(l *Lab, b *protobundle.Bundle) {
		e := l.V1.Add("dsse", "0.0.1", []byte(`{"apiVersion":"0.0.1","kind":"dsse","spec":{"signatures":[],"payloadHash":{"algorithm":"sha256","value":"`+digestOfNothing+`"}}}`), time.Now())
		b.VerificationMaterial.TlogEntries = []*rekorv1.TransparencyLogEntry{e}
	}},
}

const digestOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func mediaType(s string) func(*Lab, *protobundle.Bundle) {
	return func(_ *Lab, b *protobundle.Bundle) { b.MediaType = s }
}
