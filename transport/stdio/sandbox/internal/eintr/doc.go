// Package eintr repeats system calls that a signal interrupts, as package os does.
package eintr
