// Package pki has the certificates of TLS: where a program's own come from, who is trusted to
// issue those of others, and which of these are still good. Each of them follows its source
// while the program runs, takes a change as a whole or not at all, and keeps what it had
// when the change is not in order.
//
//	own, err := pki.Files("tls.crt", "tls.key")                   // a Source
//	cas, err := pki.CAFile("clients-ca.pem")                      // Authorities
//	who, err := pki.Names("spiffe://example.org/agents/*")        // Peers
//	crl, err := pki.CRL("clients.crl")                            // Peers
//	out, err := pki.DenyList("stolen.txt")                        // Peers
//	peers := pki.All(who, crl, out)
//	dev, err := pki.Development("")                               // a Source and Authorities
//
// What is wrong with a change goes to the fault function of Watch, and so does what ends soon
// without a successor: certificates, authorities and revocation lists. Nothing is refused for
// that before its end.
//
// It stops: a certificate and key that do not belong together, or a bundle that was written
// by half, from being taken; certificates for something else (no clientAuth, authorities),
// with weak keys, revoked, or of somebody who is not on the list; revocation that silently
// ends, because the list is not renewed, is signed by another, or is put back to an old one.
//
// It does not stop: who can write the files it reads, or the key of an authority; what an
// authority signs for a wrong person, but for names that the list does not have. It asks no
// OCSP responder and fetches no lists. A certificate in use is judged anew by whoever holds
// the connection, here the listener and client of package https, not by this package.
package pki
