// Package kms signs manifests with a key that stays in AWS Key Management Service.
// References are those of cosign, so that "cosign sign-blob --key awskms:///..." and
// mcpsec share a key.
//
// The private key cannot be copied; whoever holds AWS credentials with kms:Sign on it
// can still sign as long as he has them, and CloudTrail says that he did. Verifying
// needs none of this: export the public key once with [Key.PublicPEM], pin it with
// envelope.Keys, and no server calls AWS.
package kms
