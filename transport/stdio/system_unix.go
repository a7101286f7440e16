//go:build unix

package stdio

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// nonblocking keeps the opening of a named pipe from waiting for a writer.
const nonblocking = syscall.O_NONBLOCK

// maxLinks bounds the links on the way to a program, as the kernel does.
const maxLinks = 40

// ownedByRoot returns where a path leads, if nobody but root can change that.
func ownedByRoot(file string) (string, error) {
	rest, at := strings.Split(path.Clean(file), "/")[1:], "/"
	if err := rootsAlone("/"); err != nil {
		return "", err
	}
	for links := 0; len(rest) > 0; {
		next := path.Join(at, rest[0])
		rest = rest[1:]
		if err := rootsAlone(next); err != nil {
			return "", err
		}
		target, err := os.Readlink(next)
		if err != nil { // no link
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%w: too many links on the way to %s", ErrArtifact, file)
		}
		if path.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), rest...)
	}
	info, err := os.Lstat(at)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return "", fmt.Errorf("%w: %s is no program", ErrArtifact, at)
	}
	return at, nil
}

// rootsAlone refuses what somebody other than root owns or may write to. A link has no
// rights of its own: whoever may write to its folder may replace it.
func rootsAlone(name string) error {
	info, err := os.Lstat(name)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid != 0 {
		return fmt.Errorf("%w: %s does not belong to root: use stdio.Program with the SHA256 of what you reviewed", ErrArtifact, name)
	}
	if info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%w: others than root may write to %s: use stdio.Program with the SHA256 of what you reviewed", ErrArtifact, name)
	}
	return nil
}
