package keyfile_test

import (
	"fmt"

	"github.com/mcpsec/mcpsec-go/attest/cosign/keyfile"
	"github.com/mcpsec/mcpsec-go/attest/envelope"
)

func Example() {
	password := func() ([]byte, error) { return []byte("from a terminal"), nil }
	word, err := password()
	if err != nil {
		fmt.Println(err)
		return
	}
	private, _, err := keyfile.Generate(word) // cosign.key, cosign.pub
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := keyfile.Parse(private, password)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = envelope.SignWith(key)
	fmt.Println(err)
	// Output: <nil>
}
