// Package conformance holds a small Sigstore for tests, in one process: a certificate
// authority with a certificate transparency log, transparency logs of both kinds and
// a timestamp authority, with their HTTP services; and the table of bundles that each
// verifier of attest must judge alike.
//
// It makes what an attacker would: all its keys are at hand, so that each part of a
// bundle can be wrong while the rest is right.
package conformance
