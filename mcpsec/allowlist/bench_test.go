package allowlist_test

import (
	"testing"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/mcpsec/allowlist"
)

func BenchmarkAuthorize(b *testing.B) {
	list := allowlist.New(
		allowlist.Scope("admin").AllTools(),
		allowlist.Anyone().Tools("a", "b", "c", "d", "read"),
	)
	call := &mcpsec.Call{Method: "tools/call", Name: "read", Principal: mcpsec.Principal{Rung: mcpsec.Process, Subject: "uid:1000"}}
	b.ReportAllocs()
	for b.Loop() {
		if err := list.Authorize(b.Context(), call); err != nil {
			b.Fatal(err)
		}
	}
}
