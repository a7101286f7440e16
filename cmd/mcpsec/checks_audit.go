package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	mebibyte = 1 << 20
	// With less free space than this the next burst of calls fills the disk.
	leastSpace = 16 * mebibyte
	// With less than this an operator should know today.
	scarceSpace = 512 * mebibyte
	// excess are the rights of others, and the group's to write, on an audit folder.
	excess = 0o027
)

var errNoProbe = errors.New("cannot be told on this system without writing")

const (
	noAudit  = "no audit folder named"
	nameIt   = "Name the server's audit folder with --audit."
	ownIt    = "Give the folder to the server's user, with mode 0700."
	startIt  = "Start the server: it refuses to start if it cannot write there."
	plainDir = "Name a folder, or a path where nothing is yet."
)

// checkAuditFolder says whether the folder could be opened as audit.Dir opens it. It
// asks the system for its rights and never opens or creates a file: a record that a
// check may have touched is worth less.
func checkAuditFolder(h host) finding {
	if h.audit == "" {
		return skip(noAudit, nameIt)
	}
	info, err := os.Lstat(h.audit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkAuditParent(filepath.Dir(h.audit))
	case err != nil:
		return fail(err.Error(), "Give the server's user access to the folder above.")
	case info.Mode()&fs.ModeSymlink != 0:
		return fail(fmt.Sprintf("%q is a symbolic link", h.audit), "Name the folder itself: the audit package refuses links.")
	case !info.IsDir():
		return fail(fmt.Sprintf("%q is not a folder", h.audit), plainDir)
	}
	if err := mayCreate(h.audit); errors.Is(err, errNoProbe) {
		return skip(err.Error(), startIt)
	} else if err != nil {
		return fail(fmt.Sprintf("no file can be created in %q: %v", h.audit, err), ownIt)
	}
	if mode := info.Mode().Perm(); mode&excess != 0 {
		return warn(fmt.Sprintf("%q has mode %04o", h.audit, mode), "Set mode 0700; a server that owns the folder takes these rights away itself.")
	}
	return ok(fmt.Sprintf("%q can be written", h.audit))
}

// checkAuditParent says whether a folder could be created in dir.
func checkAuditParent(dir string) finding {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fail(err.Error(), "Create the folder above: the audit package creates the last one only.")
	case !info.IsDir():
		return fail(fmt.Sprintf("%q is not a folder", dir), plainDir)
	}
	if err := mayCreate(dir); errors.Is(err, errNoProbe) {
		return skip(err.Error(), startIt)
	} else if err != nil {
		return fail(fmt.Sprintf("nothing can be created in %q: %v", dir, err), "Give the server's user the right to write there.")
	}
	return ok(fmt.Sprintf("can be created in %q", dir))
}

// checkAuditSpace looks at the file system. A quota of the user's is not seen.
func checkAuditSpace(h host) finding {
	if h.audit == "" {
		return skip(noAudit, nameIt)
	}
	free, err := freeSpace(h.audit)
	if errors.Is(err, fs.ErrNotExist) {
		free, err = freeSpace(filepath.Dir(h.audit))
	}
	return judgeSpace(free, err)
}

// A space is what is left on a file system for an unprivileged user.
type space struct {
	bytes   uint64
	noFiles bool // no further file can be created
}

func judgeSpace(free space, err error) finding {
	const remedy = "Make room or move the folder: when it cannot be written, calls are refused."
	found := fmt.Sprintf("%d MiB free", free.bytes/mebibyte)
	switch {
	case err != nil:
		return skip("free space: "+err.Error(), "Watch the free space of the file system by other means.")
	case free.noFiles:
		return fail(found+", but no inode", remedy)
	case free.bytes < leastSpace:
		return fail(found, remedy)
	case free.bytes < scarceSpace:
		return warn(found, remedy)
	}
	return ok(found)
}
