package allowlist_test

import (
	"context"
	"fmt"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/mcpsec/allowlist"
)

func ExampleNew() {
	list := allowlist.New(
		allowlist.Anyone().Tools("list_notes"),
		allowlist.Scope("notes:write").Tools("write_note").MayAsk("elicitation/create"),
	)
	reader := mcpsec.Principal{Rung: mcpsec.Token, Issuer: "https://id.example.com", Subject: "ann"}
	for _, tool := range []string{"list_notes", "write_note"} {
		err := list.Authorize(context.Background(), &mcpsec.Call{Method: "tools/call", Name: tool, Principal: reader})
		fmt.Println(tool, err)
	}
	// Output:
	// list_notes <nil>
	// write_note allowlist.denied: not allowed
}
