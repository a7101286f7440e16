//go:build linux

package oci_test

import (
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/oci"
)

// From the start of a program to the end of a kill that leaves nothing.
func BenchmarkStart(b *testing.B) {
	for _, name := range append([]string{"direct"}, runtimes...) {
		b.Run(name, func(b *testing.B) {
			backend := sandbox.Direct
			if name != "direct" {
				backend = &oci.Runtime{Path: installed(b, name), Dir: asuser.Dir(b)}
			}
			for b.Loop() {
				p, err := backend.Start(b.Context(), &sandbox.Command{
					Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Profile: sandbox.Profile{System: true}, Allow: withoutLandlock,
				})
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Kill(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
