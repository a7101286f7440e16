// Package spiffe has certificates and authorities come from the SPIFFE Workload API, which
// SPIRE and others serve on a local socket: short-lived certificates (X509-SVID) that are
// rotated without anybody's hand, for servers and for clients.
//
//	source, err := spiffe.New(ctx, spiffe.Config{})
//	defer source.Close()
//	peers, err := pki.Names("spiffe://example.org/agents/*")
//	https.Config{Certificates: source, Clients: source, Peers: peers, …}
//
// It stops: an authority of one trust domain from certifying members of another; it is
// trusted for its own only, in the pool itself. A certificate that has expired because the
// Workload API is away is not shown.
//
// It does not stop: who can speak to the socket as this workload, or a trust domain that
// certifies the wrong workload. Revocation lists that the Workload API may send are not
// read: certificates are to be short-lived, and pki.DenyList ends one at once.
//
// It links gRPC; nothing else does.
package spiffe
