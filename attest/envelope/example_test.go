package envelope_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
)

// newKey stands for a key file: a seed is no way to make one.
func newKey(seed byte) (envelope.Key, envelope.Signer, error) {
	private := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), seed))
	key, err := envelope.NewKey(private.Public())
	if err != nil {
		return envelope.Key{}, nil, err
	}
	signer, err := envelope.SignWith(private)
	return key, signer, err
}

func Example() {
	ctx := context.Background()
	key, signer, err := newKey(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	bundle, err := signer.Sign(ctx, envelope.PayloadType, []byte(`{"_type":"https://in-toto.io/Statement/v1"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	signed, err := envelope.Open(ctx, bundle, envelope.Keys(key))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n%s\n", signed[0].Signer, signed[0].Payload)
	// Output:
	// key sha256:1300ab5783848215efd5623772c6750e429f26a6f9f0388b3cad7eb67976f774
	// {"_type":"https://in-toto.io/Statement/v1"}
}

func ExampleThreshold() {
	ctx := context.Background()
	alice, signAlice, err := newKey(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	bob, signBob, err := newKey(2)
	if err != nil {
		fmt.Println(err)
		return
	}
	both := envelope.Threshold(2, envelope.Keys(alice), envelope.Keys(bob))
	var bundles [][]byte
	for _, s := range []envelope.Signer{signAlice, signBob} {
		b, err := s.Sign(ctx, envelope.PayloadType, []byte("{}"))
		if err != nil {
			fmt.Println(err)
			return
		}
		bundles = append(bundles, b)
		file, err := envelope.Join(bundles...)
		if err != nil {
			fmt.Println(err)
			return
		}
		signed, err := envelope.Open(ctx, file, both)
		fmt.Println(len(signed), err == nil)
	}
	// Output:
	// 0 false
	// 2 true
}

func ExampleVerified_Covers() {
	to := time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC)
	v := envelope.Verified{Signer: "the key of 2025", NotAfter: to}
	fmt.Println(v.Covers(to.Add(time.Hour)))
	// Output:
	// envelope: outside the life of the key: the key of 2025 was valid until 2026-06-30T00:00:00Z, not at 2026-06-30T01:00:00Z
}

func ExampleParseKey() {
	key, err := envelope.ParseKey([]byte(`-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`))
	fmt.Println(key, err)
	// Output:
	// sha256:a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f <nil>
}
