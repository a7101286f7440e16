package acme

import (
	"testing"

	"go.uber.org/goleak"
)

// What keeps a lock of certmagic's storage fresh sleeps for five seconds at a time, and ends
// when it finds the lock gone.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}
