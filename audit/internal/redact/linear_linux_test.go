package redact

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// Eight times the length takes about eight times the work, for every hostile text;
// quadratic work would be 64 times as much. What is measured is the processor time of
// the thread, which other programs do not change, and the least of several runs.
func TestWorkIsLinear(t *testing.T) {
	const (
		small, factor = 16 << 10, 8
		slack         = time.Millisecond // of the measure itself
	)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := policy(t, Config{Held: holding(
		strings.Repeat("a", 31)+"b", strings.Repeat("a", 100)+"b", "aaaaaaaab", "://:@://:@://:@x", "%%%%%%%%%%x", `\\\\\\\\\\x`,
	)})
	least := func(text string) time.Duration {
		used := time.Hour
		for range 3 {
			start := threadTime(t)
			p.Text(text)
			used = min(used, threadTime(t)-start)
		}
		return used
	}
	long := hostile(factor * small)
	for piece, text := range hostile(small) {
		for attempt := 1; ; attempt++ {
			a, b := least(text), least(long[piece])
			if b < 3*factor*a+slack {
				break
			}
			if attempt == 3 {
				t.Errorf("%q: %v for %d bytes, %v for %d", piece, a, len(text), b, len(long[piece]))
				break
			}
		}
	}
}

func threadTime(t *testing.T) time.Duration {
	t.Helper()
	const clock = 3 // CLOCK_THREAD_CPUTIME_ID
	var now syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		t.Fatal(errno)
	}
	return time.Duration(now.Nano())
}
