//go:build !unix

package creds

const nonblocking = 0
