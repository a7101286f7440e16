// Package vault issues credentials from HashiCorp Vault or OpenBao: secrets of the
// key-value store (version 2), and dynamic ones with a lease, such as an account in a
// database that exists only as long as it is used.
//
//	server := vault.New(vault.Config{
//		Addresses: []string{"https://vault.internal:8200"},
//		Auth: vault.JWT{Mount: "kubernetes", Role: "files", Token: creds.File(path, creds.InsecurePermissions())},
//	})
//	creds.ForTool("report",
//		creds.Named("db", server.Lease(vault.Lease{Path: "database/creds/readonly"})),
//		creds.Named("key", server.KV(vault.KV{Mount: "secret", Path: "apps/report", Field: "key"})),
//	)
//
// # What it stops
//
// A long-lived database password or a Vault token in the environment of a tool. The
// tool gets what its own path issues and never the token that read it. A lease is
// renewed while it is in use, revoked when it is not, and refused when it would live
// longer than a day. The token of a login is renewed, replaced before its maximum life
// ends, and revoked when the guard closes; so is the one that it replaced.
//
// A policy has to allow the login to revoke leases ("update" of sys/leases/revoke):
// Vault's policy "default" does not, and then the probe of a lease fails.
//
// An answer from an address that was not configured: a redirect by a standby is
// followed only to another of the configured addresses.
//
// # What it does not stop
//
// A path that gives more than the tool needs: that is a matter of Vault's policies,
// which the probe shows but cannot narrow. A tool that copies what it was given. The
// token of one login reads for all tools of one [Server]; give tools that must not
// share a token each a Server with a role of its own.
//
// A lease whose answer was lost on the way, or came after the call had ended: nobody
// knows its id, and it lives as long as the role gave it. Keep that short.
//
// Between two renewals the lease is believed to live as long as Vault said: one that an
// operator revokes by hand is noticed at the next renewal.
package vault
