package sigstore

import (
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/mcpsec/mcpsec-go/attest/internal/keyless"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// An Option says whom a verifier trusts. The verifier of attest/cosign takes the same.
type Option = keyless.Option

// Identity is the one accepted signer: the subject of the certificate (an e-mail
// address, or the URI of a workflow) and the issuer of the token it was made for. Both
// are compared byte for byte. There are no patterns: a pattern without anchors, or
// with a dot that means any character, is how another signer gets in. For several
// signers make several verifiers and join them with envelope.Threshold.
func Identity(subject, issuer string) Option { return keyless.Identity(subject, issuer) }

// A Build is what a certificate for a build job says beyond its subject. Each member
// is compared exactly if it is not empty. A subject names a workflow file, and anybody
// who may push a branch can run that file there: pin the ref and the runner.
type Build struct {
	SourceRepository   string // URI, such as "https://github.com/owner/name"
	SourceRepositoryID string // never reused, unlike the URI after a repository was deleted
	SourceOwnerID      string // likewise
	SourceRef          string // such as "refs/tags/v1.2.0"
	SourceDigest       string // commit
	Runner             string // "github-hosted", "self-hosted"
	Signer             string // URI of the workflow that signed, with its ref
	Config             string // URI of the workflow that was started, with its ref
	Trigger            string // such as "push"
}

// From pins what the certificate says of the build.
func From(b Build) Option {
	return keyless.Build(certificate.Extensions{
		SourceRepositoryURI: b.SourceRepository, SourceRepositoryIdentifier: b.SourceRepositoryID,
		SourceRepositoryOwnerIdentifier: b.SourceOwnerID, SourceRepositoryRef: b.SourceRef,
		SourceRepositoryDigest: b.SourceDigest, RunnerEnvironment: b.Runner,
		BuildSignerURI: b.Signer, BuildConfigURI: b.Config, BuildTrigger: b.Trigger,
	})
}

// TrustedRootFile takes the certificates and keys to trust from a trusted_root.json
// file, which is read now. No network is used. The file decides about everything
// else: keep it out of reach of the account that the server runs as.
func TrustedRootFile(path string) Option {
	return func(p *keyless.Policy) error {
		data, err := regular.ReadFile(path, keyless.MaxRoot)
		if err != nil {
			return err
		}
		return TrustedRoot(data)(p)
	}
}

// TrustedRoot is TrustedRootFile for a root that is compiled in.
func TrustedRoot(data []byte) Option {
	return func(p *keyless.Policy) error {
		r, err := keyless.ParseRoot(data)
		if err != nil {
			return err
		}
		return keyless.Trust(keyless.Fixed(r))(p)
	}
}

// TransparencyLogs is how many different logs must hold the signature, 1 to 8. One is
// the default; none is not on offer.
func TransparencyLogs(n int) Option {
	return keyless.Threshold("TransparencyLogs", n, func(p *keyless.Policy) *int { return &p.Logs })
}

// Timestamps is how many different observers must say when the signature was made, 1
// to 8: timestamp authorities (RFC 3161), or logs of Rekor v1 by their signed entry
// timestamp. One is the default. Rekor v2 tells no time, so that its bundles need an
// authority.
func Timestamps(n int) Option {
	return keyless.Threshold("Timestamps", n, func(p *keyless.Policy) *int { return &p.Times })
}

// PrivatePKI waives the proof that the certificate stands in a certificate
// transparency log (RFC 6962), for an own certificate authority that has none. Nobody
// but that authority can then find a certificate that was issued wrongly.
func PrivatePKI() Option { return keyless.PrivatePKI() }
