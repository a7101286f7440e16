// Package sigstore signs and verifies manifests without keys that anybody must guard:
// a signer proves who he is to a certificate authority (Fulcio), which certifies a key
// for minutes, a transparency log (Rekor) keeps the signature, and verifiers trust an
// identity.
//
//	trust, err := sigstore.Keyless(
//		sigstore.Identity("https://github.com/owner/name/.github/workflows/release.yml@refs/tags/v1.2.0", "https://token.actions.githubusercontent.com"),
//		sigstore.From(sigstore.Build{SourceRef: "refs/tags/v1.2.0", Runner: "github-hosted"}),
//		sigstore.TrustedRootFile("trusted_root.json"),
//	)
//	guard, err := mcpsec.New(attest.New(attest.Manifest("manifest.sigstore.json", trust)))
//
// # What it stops
//
// A manifest that somebody else signed, and one that was signed with a stolen
// certificate after its minutes were over. It accepts bundles v0.3 with one DSSE
// signature, one certificate, and by default one log entry with inclusion proof, one
// trusted time and one signed certificate timestamp; each of them must be about this
// signature, and none may be merely passed over.
//
// It closes what the library below it leaves open: identities are compared exactly,
// a certificate bears one name and one issuer, surplus log entries must verify too,
// logs must have been in service at the time, an entry and its checkpoint must be of
// one kind of log, other bundle versions are refused, a trusted root whose
// authorities have all expired is refused, and a panic is a refusal.
//
// # What it does not stop
//
// Whoever controls the identity: an account at the issuer, or the right to push what
// the workflow runs. [From] narrows that down, and nothing here finds it out. Whoever
// can write the trusted root file. The authority and the logs together, if they
// collude; the logs only help those who watch them. That an older manifest of the
// same signer is shown: the sequence number in it does, which attest checks.
//
// No revocation is asked. A certificate of minutes needs none, but a signer who is no
// longer trusted stays valid for what he signed until it expires.
//
// # Network
//
// Verifying uses none, unless [TUF] is given. Signing asks the [Services] it is given
// and nobody else. SIGSTORE_ variables of the environment are not read.
package sigstore
