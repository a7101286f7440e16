// Package program runs a list of system calls in a new process, from its clone to its
// exec, without a helper program, a re-exec of the host or cgo.
//
// A [Program] is written in ordinary Go, where it can be read, printed and tested. To run
// it, the whole of it (numbers, arguments, strings, environment) is laid out in memory
// that the Go runtime does not know, and a child is cloned that shares this memory and
// does nothing but walk the list: about forty instructions of assembly, no Go code, no
// stack. So the child is indifferent to the compiler, the race detector, the collector
// and the size of the host, and the host goes on working meanwhile and may look at the
// child, and answer it, before it executes anything. A program may come in parts: while
// the child waits at the end of one, the host lays out the next.
//
// # What it promises
//
// Every call is checked: the first one that fails ends the child, and the host is told
// which step it was. The child never returns into Go. Its signals are blocked until the
// program itself unblocks them, so no handler of the host runs in it.
//
// # What it does not
//
// It knows nothing of sandboxes: whether the list confines anything is the caller's
// affair. Until its exec the child has the host's memory in its address space; a program
// that changes its user must see to it that nobody else may attach to it (the kernel
// does, by making that memory undumpable).
package program
