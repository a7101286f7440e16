package attest_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be a server of its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == helper {
		if err := child(os.Args[2], os.Args[3:]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
