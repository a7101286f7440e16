// Package jose reads signed tokens (RFC 7515, RFC 7519) and public keys (RFC 7517) that
// come from outside, strictly: what two readers could understand differently is refused
// before a signature is looked at. Signatures are verified by golang-jwt.
//
// Errors hold nothing of the token.
package jose
