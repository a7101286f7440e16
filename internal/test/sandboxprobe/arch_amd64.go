//go:build linux

package main

import "golang.org/x/sys/unix"

var segmentCalls = []uintptr{unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT}

// int80 asks for the process number by the interface of 32-bit programs.
func int80() uintptr
