//go:build linux || darwin

package main

import "syscall"

// Modes of access(2), which the syscall package does not name.
const (
	mayExecute = 1
	mayWriteTo = 2
)

func mayCreate(dir string) error { return syscall.Access(dir, mayWriteTo|mayExecute) }

func freeSpace(dir string) (space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return space{}, err
	}
	// Some file systems make inodes as they need them and count none.
	return space{bytes: s.Bavail * uint64(s.Bsize), noFiles: s.Files > 0 && s.Ffree == 0}, nil //nolint:gosec // G115: a block size is positive
}
