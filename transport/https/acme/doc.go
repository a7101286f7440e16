// Package acme has a server's certificate come from a public authority, such as Let's
// Encrypt, by ACME (RFC 8555). The authority is answered on the server's own listener
// (TLS-ALPN-01, RFC 8737), so no port but that of the server, which the authority reaches
// as 443, has to be open.
//
//	source, err := acme.New(acme.Config{Domains: []string{"mcp.example.com"}, Folder: "acme", Agreed: true})
//	defer source.Close()
//	https.Config{Certificates: source, …}
//
// It stops: certificates that nobody renews. It asks only for the domains it is given,
// never for a name that a client makes up. Connections for the challenge speak nothing but
// the challenge; see package https.
//
// It does not stop: who controls the domain's addresses or its network from getting a
// certificate as well; a CAA record that names the account does (RFC 8657). Names in
// certificates of public authorities are public.
//
// It links certmagic; nothing else does.
package acme
