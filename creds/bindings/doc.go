// Package bindings reads which tool gets which credentials from a file, so that the
// server, its operator and `mcpsec creds check` mean the same:
//
//	bound, err := bindings.Load("/etc/notes/creds.json")
//	if err != nil {
//		return err
//	}
//	guard, err := mcpsec.New(creds.New(bound...))
//
// The file is strict JSON (RFC 8259 without its leniencies) with two members. "bases"
// names what is shared: a login, an account, an encrypted file. "tools" says of each
// tool which credentials it gets, by the name under which its handler asks:
//
//	{
//	  "bases": {
//	    "cluster": {"vault": {"addresses": ["https://vault.internal:8200"],
//	      "auth": {"jwt": {"mount": "kubernetes", "role": "notes", "token":
//	        {"file": {"path": "/var/run/secrets/vault/token", "insecurePermissions": true}}}}}}
//	  },
//	  "tools": {
//	    "list_notes": {"db": {"vaultLease": {"base": "cluster", "path": "database/creds/readonly"}}}
//	  }
//	}
//
// A base is one of awsKeys, awsWebIdentity, awsRolesAnywhere, vault, gcp, azure, oauth
// and age. A credential is one of file, keyring, age, awsRole, awsSecret, awsParameter,
// vaultKV, vaultLease, gcpToken, gcpSecret, azureToken, azureSecret, oauthExchange and
// oauthClient. [Schema] describes the members of each, for editors; the packages of the
// providers say what they mean. Paths are absolute: the folder a server happens to be
// started in decides nothing. Lengths of time are written as "15m".
//
// # What it stops
//
// A secret in a configuration: no member takes one. Secrets are named by where they
// are, in a file, a keyring or an age file, and a text that looks like a private key or
// a token is a fault that is not repeated. A member that is misspelt, given twice, or
// meant for another provider, which other decoders pass over in silence. A file that
// its group or others may write (Unix).
//
// # What it does not stop
//
// Whoever may write the file decides what every tool gets. A secret without a form of
// its own, such as a password in the place of a name, cannot be recognised.
package bindings
