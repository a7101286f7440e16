// Package cosign verifies signed manifests with the library of cosign v2, for those
// who want the tool and the server to judge alike.
//
//	trust, err := cosign.Verifier(
//		sigstore.Identity("https://github.com/owner/name/.github/workflows/release.yml@refs/tags/v1.2.0", "https://token.actions.githubusercontent.com"),
//		sigstore.TrustedRootFile("trusted_root.json"),
//	)
//
// Key files of cosign are read and written by attest/cosign/keyfile, and keys in AWS
// KMS are used by attest/cosign/kms; neither of the two links cosign.
//
// # What it uses
//
// VerifyNewBundle and no other function: the older paths of cosign v2 (detached
// signatures, bundles from before v0.3, container images) crash on some input, accept
// some that later versions refuse, and are no longer maintained. VerifyNewBundle is a
// thin layer over sigstore-go, so that attest/sigstore is the lighter choice and
// neither is a second opinion on the other's cryptography. A panic is a refusal.
// For cosign v3 the import path changes and nothing else.
//
// Scanners will report GO-2026-4529 for a program that links this package: expired
// intermediate certificates are accepted when the transparency log is skipped, on a
// path that is never called here.
//
// # What it does not do
//
// It verifies no container image, and no signature made with a key: for keys use
// envelope.Keys, which needs none of this.
//
// # AWS Signer
//
// AWS Signer cannot sign a manifest. Its StartSigningJob takes an object in S3 and a
// platform that says what is signed: Lambda code, or firmware for AWS IoT. Its
// SignPayload takes up to 4096 bytes and one payload format,
// application/vnd.cncf.notary.payload.v1+json: a descriptor of an OCI artifact, with
// media type, digest and size. One could put the digest of a manifest into such a
// descriptor, as if it were an image. But what comes back is an envelope of Notary
// Project, signed by a certificate of AWS over that descriptor: it covers neither the
// payload type nor the predicate, has no place in a Sigstore bundle, and its
// revocation is asked of AWS over the network at each use. It is not DSSE, so nothing
// here verifies it, and stock cosign does not either. An image that holds a server
// may of course be signed with it beside. To keep the signing key in AWS, use KMS: attest/cosign/kms.
package cosign
