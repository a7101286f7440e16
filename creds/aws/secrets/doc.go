// Package secrets issues what AWS Secrets Manager and the SecureString parameters of
// Systems Manager keep, and follows their rotation without a restart.
//
//	creds.ForTool("query_orders", creds.Named("orders-db",
//		secrets.Manager("prod/orders-db", secrets.Region("eu-central-1"), secrets.Credentials(base),
//			secrets.Accounts("123456789012"), secrets.Field("password"))))
//
// The server's own identity (base) reads the secret; the tool gets the value and never
// that identity. Nothing is looked up in the environment, a profile or the metadata
// service: what reads the secret is what [Credentials] was given.
//
// # Rotation
//
// The version labelled AWSCURRENT is read again every [Poll]. A version that is only
// AWSPENDING is never used: nobody has proved yet that it works. When the service
// refuses a credential (see creds.Handle.Report), the current version is read at once.
// The one before it is never issued: it may have been replaced because it is known to
// others, and a call that provokes a refusal could bring it back for everybody.
//
// A secret with several members that belong together, such as a user name and its
// password, is best bound once, without [Field]: the members then are of one version.
//
// # What it stops
//
// A secret in the wrong account or region, one that is scheduled for deletion, an
// answer that is not from this API or for another secret, a parameter that is not
// encrypted, and ciphertext taken for a value, are errors that name the remedy and
// repeat nothing of what the service said. The copies of an answer that this package
// makes are overwritten; the strings that the SDK makes of it cannot be, and stay until
// the garbage collector takes them.
//
// # What it does not stop
//
// AWS cannot narrow a secret to a call: whoever has it can do all that it opens. A copy
// that a handler keeps stays good until the secret is rotated. Between a rotation and
// the next poll the old version is issued; a service that accepts both for that long
// notices nothing.
package secrets
