package clients

import (
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// whole runs the long forms of the tests: "make test-clients" sets it.
var whole = flag.Bool("whole", false, "run the whole of what takes minutes")

var missing atomic.Int32

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if n := missing.Load(); n > 0 {
		fmt.Println("clients:", n, "tests skipped, since a program is not installed: make clients")
	}
	removeProgram()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goleak:", err)
		code = 1
	}
	os.Exit(code)
}

// absent skips the test for want of a program.
func absent(tb testing.TB, what, remedy string) {
	tb.Helper()
	missing.Add(1)
	tb.Skipf("reason: %s is not installed: %s", what, remedy)
}

// long skips what takes minutes, unless the whole is asked for.
func long(tb testing.TB) {
	tb.Helper()
	if !*whole {
		tb.Skip("reason: takes minutes: make test-clients")
	}
}
