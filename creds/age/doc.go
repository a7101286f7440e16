// Package age keeps secrets in a file encrypted with age (age-encryption.org/v1): what
// a server on one machine uses that has no secret manager.
//
//	store := age.Open(age.Config{Path: "secrets.age", Identity: creds.File("/run/keys/identity")})
//	creds.ForTool("list_notes", creds.Named("store", store.Secret("notes")))
//
// The file holds one JSON object whose members are the secrets, by name, or anything at
// all if it is one secret (see [Store.Whole]). [Write] makes it; so does
//
//	age -r age1... -o secrets.age secrets.json
//
// # What it stops
//
// Secrets in the clear in a configuration, a backup or a repository. The file is
// decrypted in memory, when a secret is asked for, and only by who has the identity,
// which must be a file that nobody else can read, or the passphrase.
//
// # What it does not stop
//
// Whoever has both the file and the identity, such as root or another program of the
// same account: keep them in different places. Whoever may write the file: age does not
// say who encrypted it, so a file that its group or others may write is refused. An old
// version of the file that is put back. The secrets do not expire by themselves.
package age
