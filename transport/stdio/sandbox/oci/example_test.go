//go:build linux

package oci_test

import (
	"context"
	"fmt"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/oci"
)

func ExampleRuntime() {
	var backend sandbox.Backend = &oci.Runtime{Path: "runsc-that-is-not-installed"}
	_, err := backend.Start(context.Background(), &sandbox.Command{Path: "/usr/bin/true"})
	fmt.Println(err)
	// Output: oci: there is no runtime "runsc-that-is-not-installed" in /usr/local/sbin, /usr/local/bin, /usr/sbin, /usr/bin, /sbin, /bin: install it, or give its absolute path
}
