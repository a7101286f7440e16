// Package rolesanywhere exchanges an X.509 certificate for credentials of AWS: the
// CreateSession of IAM Roles Anywhere. It is a base for servers that run outside AWS,
// with a certificate of a private authority and no long-lived access key.
//
//	host, err := rolesanywhere.New(rolesanywhere.Config{
//		TrustAnchorARN: "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/...",
//		ProfileARN:     "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/...",
//		RoleARN:        "arn:aws:iam::123456789012:role/mcp-server",
//		Certificate:    rolesanywhere.Files("/etc/mcp/tls.crt", "/etc/mcp/tls.key"),
//	})
//	base := aws.From(host) // kept, renewed in time, and never used after its end
//
// The policy of a session is that of the profile and the role; it cannot be narrowed
// here. So what comes out is for the server and not for a tool: give each tool a role of
// its own, assumed with this base. Its source identity is the common name of the
// certificate and cannot be changed further down.
//
// # What it stops
//
// A long-lived access key on a disk: the key of the certificate can stay in an HSM, a
// TPM or a SPIFFE agent, as anything that is a crypto.Signer. A certificate that was
// replaced is used from the next exchange on. One that has expired, that does not fit
// its key, or that the service would not take, is refused here, with the reason, which
// the service does not give. Answers that are incomplete, that have no end or a later one
// than was asked for are refused.
//
// # What it does not stop
//
// Whoever has the key of the certificate has the role, until the certificate expires or
// is revoked in the trust anchor. A session outlives the certificate. The service takes
// ten requests a second from a whole account.
package rolesanywhere
