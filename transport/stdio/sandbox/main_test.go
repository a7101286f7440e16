package sandbox

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// hostVariable makes this program a host that starts what the variable says, for tests
// that kill it or put it into another sandbox.
const hostVariable = "MCPSEC_TEST_HOST"

// actAsHost is there on Linux.
var actAsHost func(text string) int

func TestMain(m *testing.M) {
	if text := os.Getenv(hostVariable); text != "" {
		os.Exit(actAsHost(text))
	}
	goleak.VerifyTestMain(m)
}
