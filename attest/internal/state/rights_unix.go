//go:build unix

package state

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openFlags keep a link from being followed and a pipe from waiting for a writer.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

func checkRights(path string, info fs.FileInfo) error {
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o: chmod 600 it, and ask who has read the key", path, perm)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d: chown it to the server's user, %d", path, owner.Uid, os.Geteuid())
	}
	return nil
}

// checkFolderRights refuses a folder in which others can remove files.
func checkFolderRights(dir string, info fs.FileInfo) error {
	if mode := info.Mode(); mode.Perm()&0o022 != 0 && mode&fs.ModeSticky == 0 {
		return fmt.Errorf("%s has mode %04o, and others can remove files in it: chmod go-w it", dir, mode.Perm())
	}
	return nil
}
