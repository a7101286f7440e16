//go:build !unix

package attest

const nonblocking = 0
