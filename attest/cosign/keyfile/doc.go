// Package keyfile reads and writes the encrypted private key files of cosign
// (cosign.key and cosign.pub), so that cosign and mcpsec can use each other's. It
// links nothing of cosign.
//
// The key is PKCS #8, encrypted with NaCl secretbox under a key that scrypt derives
// from the password. That protects a file that was copied, as far as the password is
// hard to guess; it does not protect against whoever can read the memory of the
// program that signs, or watch the password being typed.
package keyfile
