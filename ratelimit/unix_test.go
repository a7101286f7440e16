//go:build unix

package ratelimit

import (
	"syscall"
	"time"
)

// cpuTime is what the process has used of its cores. Beside other load it says more
// than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const freezeSignal = syscall.SIGUSR1

func sendSelf(s syscall.Signal) error { return syscall.Kill(syscall.Getpid(), s) }
