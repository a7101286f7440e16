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
	// excess are the rights of others, and the group's to write, on an audit file.
	excess = 0o037
)

var errNoProbe = errors.New("cannot be told on this system without writing")

const noAudit = "no audit file named"

// checkAuditFile says whether the file could be opened as audit.File opens it. It
// asks the system for its rights and never opens or creates the file: a record that
// a check may have touched is worth less.
func checkAuditFile(h host) finding {
	if h.audit == "" {
		return skip(noAudit, "Name the server's audit file with --audit.")
	}
	info, err := os.Lstat(h.audit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkAuditDir(filepath.Dir(h.audit))
	case err != nil:
		return fail(err.Error(), "Give the server's user access to the directory.")
	case info.Mode()&fs.ModeSymlink != 0:
		return fail(fmt.Sprintf("%q is a symbolic link", h.audit), "Name the file itself: the audit package refuses links.")
	case !info.Mode().IsRegular():
		return fail(fmt.Sprintf("%q is not a regular file", h.audit), "Name a regular file, or a path where none is yet.")
	}
	if err := mayWrite(h.audit); errors.Is(err, errNoProbe) {
		return skip(err.Error(), "Start the server: it refuses to start if it cannot open the file.")
	} else if err != nil {
		return fail(fmt.Sprintf("%q cannot be read and written: %v", h.audit, err), "Give the file to the server's user, with mode 0600.")
	}
	if mode := info.Mode().Perm(); mode&excess != 0 {
		return warn(fmt.Sprintf("%q has mode %04o", h.audit, mode), "Set mode 0600; a server that owns the file takes these rights away itself.")
	}
	return ok(fmt.Sprintf("%q can be written", h.audit))
}

// checkAuditDir says whether a file could be created in dir.
func checkAuditDir(dir string) finding {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fail(err.Error(), "Create the directory: the audit package creates the file only.")
	case !info.IsDir():
		return fail(fmt.Sprintf("%q is not a directory", dir), "Name a file in a directory that exists.")
	}
	if err := mayCreate(dir); errors.Is(err, errNoProbe) {
		return skip(err.Error(), "Start the server: it refuses to start if it cannot create the file.")
	} else if err != nil {
		return fail(fmt.Sprintf("no file can be created in %q: %v", dir, err), "Give the server's user the right to write to the directory.")
	}
	return ok(fmt.Sprintf("can be created in %q", dir))
}

// checkAuditSpace looks at the file system. A quota of the user's is not seen.
func checkAuditSpace(h host) finding {
	if h.audit == "" {
		return skip(noAudit, "Name the server's audit file with --audit.")
	}
	free, err := freeSpace(filepath.Dir(h.audit))
	return judgeSpace(free, err)
}

// A space is what is left on a file system for an unprivileged user.
type space struct {
	bytes   uint64
	noFiles bool // no further file can be created
}

func judgeSpace(free space, err error) finding {
	const remedy = "Make room or move the file: when it cannot be written, calls are refused."
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
