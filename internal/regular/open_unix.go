//go:build unix

package regular

import "syscall"

// nonblocking keeps the opening of a named pipe from waiting for a writer.
const nonblocking = syscall.O_NONBLOCK
