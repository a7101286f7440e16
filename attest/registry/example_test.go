package registry_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/registry"
)

func ExamplePolicy_Accept() {
	ctx := context.Background()
	// The publisher signs the entry, with a key whose public half the host trusts.
	const base = "https://registry.example.com"
	serverJSON := []byte(`{"name":"com.example/files","version":"1.2.0","packages":[
		{"registryType":"oci","identifier":"docker.io/example/files@sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}]}`)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := envelope.SignWith(private)
	if err != nil {
		log.Fatal(err)
	}
	statement, err := registry.Statement(base, serverJSON, time.Now())
	if err != nil {
		log.Fatal(err)
	}
	bundle, err := signer.Sign(ctx, envelope.PayloadType, statement)
	if err != nil {
		log.Fatal(err)
	}

	// The host asks for the server and judges what the registry sent.
	key, err := envelope.NewKey(public)
	if err != nil {
		log.Fatal(err)
	}
	policy := registry.Policy{Registries: map[string]registry.Registry{
		base: {Trust: envelope.Keys(key), Digests: true, Namespaces: []string{"com.example"}},
	}}
	request := registry.Request{Registry: base, Name: "com.example/files", ServerJSON: serverJSON, Bundle: bundle}
	entry, err := policy.Accept(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(entry.Name, entry.Version)

	request.Installed = &registry.Release{Version: "1.3.0"}
	_, err = policy.Accept(ctx, request)
	fmt.Println(err)
	// Output:
	// com.example/files 1.2.0
	// attest/registry: registry entry refused: registry https://registry.example.com, server "com.example/files": version 1.2.0 is not newer than the installed 1.3.0
}
