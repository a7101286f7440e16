// Package keyless is what the verifiers of signatures by certificate share: whom
// they trust, the strict reading of a bundle, and the judgement of what the
// libraries below them let pass. Which library checks the cryptography is the
// caller's choice, so that two of them can be held against one table of cases.
package keyless
