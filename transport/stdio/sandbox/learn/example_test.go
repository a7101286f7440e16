//go:build linux

package learn_test

import (
	"context"
	"fmt"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/learn"
)

func ExampleRun() {
	seen, err := learn.Run(context.Background(), "/usr/bin/true", []string{"true"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	profile, remarks := seen.Profile()
	fmt.Println(profile.System, profile.Write, profile.Egress, remarks)
	// Output: true [] [] []
}
