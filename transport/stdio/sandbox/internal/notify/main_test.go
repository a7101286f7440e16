package notify

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if action := os.Getenv(actionVariable); action != "" {
		supervised(action) // does not return
	}
	goleak.VerifyTestMain(m)
}

// actionVariable tells the test's own binary to be the supervised process.
const actionVariable = "MCPSEC_TEST_SUPERVISED"
