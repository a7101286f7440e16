// Package registry decides which entries of MCP registries a host installs. A registry
// entry is a server.json; this package accepts it only with a signature over its bytes,
// and with proof of a transparency log where the policy asks for it.
//
//	policy := registry.Policy{Registries: map[string]registry.Registry{
//		"https://registry.example.com": {Trust: envelope.Keys(key), Digests: true},
//	}}
//	entry, err := policy.Accept(ctx, registry.Request{
//		Registry: "https://registry.example.com", Name: "com.example/files",
//		ServerJSON: body, Bundle: bundle,
//	})
//
// # What is signed
//
// An in-toto statement in DSSE, in Sigstore bundles as package envelope reads them. Its
// one subject is the SHA-256 of server.json, byte for byte; its predicate, of type
// [PredicateType], says for which registry, which server, which version and when.
// [Statement] makes it.
//
// # What it stops
//
// An entry that the registry, a mirror or somebody on the way changed; an entry of
// another server or another registry than was asked for; one signed by somebody whom the
// policy trusts for other registries or other namespaces; an older version, and another
// content of the same version; packages without a digest, where the policy asks for
// them; a downloaded file that is not the one of the entry. A registry that the policy
// does not name is refused: there is no default.
//
// # What it does not stop
//
// What the signer signed: a signature says who vouches, and nothing of behaviour. A
// registry that keeps a newer version to itself: no statement says that it is the
// latest. A package without digest (Digests is off) is whatever its own registry sends.
// A file that somebody changes after [Entry.CheckFile]: check it where nobody else can
// write, and run that file.
package registry
