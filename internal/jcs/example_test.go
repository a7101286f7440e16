package jcs_test

import (
	"fmt"

	"github.com/mcpsec/mcpsec-go/internal/jcs"
)

func ExampleAppend() {
	canonical, err := jcs.Append(nil, []byte(`{ "limit": 1e2, "\u0061ll": true }`))
	fmt.Println(string(canonical), err)
	_, err = jcs.Append(nil, []byte(`{"role":"reader","role":"admin"}`))
	fmt.Println(err)
	// Output:
	// {"all":true,"limit":100} <nil>
	// jcs: not strict JSON: duplicate member name in the object that ends at offset 31
}
