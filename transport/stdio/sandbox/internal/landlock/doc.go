// Package landlock compiles what a profile allows of the file system and of TCP into
// rules of the Linux security module Landlock, for each version of its interface (ABI).
//
// Landlock judges opening, creating, removing, renaming, truncating and executing, by the
// place of the file. It does not judge stat, chmod, chown, utime, setxattr, access or
// watching with inotify, and nothing of descriptors that are open already: where no
// mount namespace hides the files, the system call filter refuses the ones that change
// something, and the others stay possible. Nor does it judge the execution of memory
// (memfd_create), or mapping a file as executable.
package landlock
