// Package envelope signs statements and verifies their signatures: DSSE in a Sigstore
// bundle v0.3, as the cosign command line reads and writes it, with public keys that
// somebody pinned. It needs the standard library only; verifiers for certificates and
// transparency logs fit in through [Verifier].
//
//	signed, err := envelope.Open(ctx, file, envelope.Threshold(2, envelope.Keys(alice), envelope.Keys(bob)))
//
// # What it stops
//
// A payload, or a type of it, that nobody trusted has signed. Keys outside their life,
// which Sigstore's libraries accept for bundles without a timestamp. Bundles that two
// readers read in two ways; older and newer formats of bundles; more than one signature
// in an envelope, of which only one would be checked. One signer who counts as two. A
// verifier that panics, does not answer, or verifies something else than it was asked.
//
// # What it does not stop
//
// Whoever has a trusted key, and an older payload that is correctly signed: a signature
// never says "latest". It does not read the payload. With pinned keys, log entries and
// timestamps in a bundle are not verified and prove nothing; the key that is trusted
// first is configuration.
package envelope
