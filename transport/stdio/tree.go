package stdio

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// Bounds of a tree.
const (
	maxTreeFiles = 100_000
	maxTreeBytes = 2 << 30
	maxTreeDepth = 64
)

// A Tree is a folder with a script or program and all that it loads, such as one into
// which npm installed a package. It is copied into a private folder, verified there, and
// appears inside read only as [AppDir], which is also the working directory unless the
// profile names another. Exactly one of Sum and Signed is given.
//
// Links to files below the folder become files; other links are refused. Modes are no
// part of the digest, and every file of the copy may be executed.
//
// Processes of the host's own user could write to the copy; they could as well trace the
// host.
type Tree struct {
	// Dir is the folder on the host.
	Dir string
	// Sum is what [SumTree] says of the folder, "h1:...", as in go.sum.
	Sum string
	// Signed is asked instead of a sum being given, about the SHA-256 that the sum has in it.
	Signed Verifier
	// Interpreter says how Command[0] is known, which then runs a file of the tree: the next
	// argument, as a path relative to the folder or below [AppDir]. Nil means that Command[0] itself is a
	// program of the tree, as a relative path.
	Interpreter Artifact
}

var _ Artifact = Tree{}

// SumTree returns the digest of a folder for [Tree]: what dirhash.HashDir of
// golang.org/x/mod computes with no prefix.
func SumTree(ctx context.Context, dir string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }() // nothing was written
	sum, err := sumTree(ctx, root)
	if err != nil {
		return "", fmt.Errorf("stdio: tree %s: %w", filepath.Base(dir), err)
	}
	return sum, nil
}

func (t Tree) prepare(ctx context.Context, c command) (*prepared, error) {
	name := filepath.Base(t.Dir)
	if t.Sum != "" && !strings.HasPrefix(t.Sum, "h1:") {
		return nil, errors.New(`stdio: Tree.Sum does not begin with "h1:": compute it with stdio.SumTree`)
	}
	dir, err := newPrivateDir()
	if err != nil {
		return nil, err
	}
	out := &prepared{
		dir: AppDir, how: "private copy", discard: []func() error{dir.remove},
		mounts: []sandbox.Mount{{Source: dir.inside, Target: AppDir, Exec: true}},
	}
	if err := t.fill(ctx, c, dir, out); err != nil {
		return nil, errors.Join(fmt.Errorf("stdio: tree %s: %w", name, err), out.close())
	}
	return out, nil
}

func (t Tree) fill(ctx context.Context, c command, dir *privateDir, out *prepared) error {
	from, err := os.OpenRoot(t.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // nothing was written
	to, err := os.OpenRoot(dir.inside)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }() // every file was closed with its error
	if err := copyTree(ctx, from, to); err != nil {
		return err
	}
	sum, err := sumTree(ctx, to)
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:"))
	if err != nil {
		return err
	}
	digest := hex.EncodeToString(raw)
	if err := (expect{t.Sum, t.Signed}).check(ctx, digest, sum, filepath.Base(t.Dir)); err != nil {
		return err
	}
	out.digest = "sha256:" + digest
	if t.Interpreter == nil {
		return runsFrom(to, c, out)
	}
	if out.relative, err = c.runsFile(to); err != nil {
		return err
	}
	return t.interpret(ctx, c, out)
}

// runsFrom runs a program of the tree.
func runsFrom(tree *os.Root, c command, out *prepared) error {
	if !fs.ValidPath(path.Clean(c[0])) {
		return fmt.Errorf("%s is not a path relative to the folder: name the program that way, or give Tree.Interpreter", c.name())
	}
	program, err := tree.ReadFile(path.Clean(c[0]))
	if err != nil {
		return err
	}
	if bytes.HasPrefix(program, []byte("#!")) {
		return fmt.Errorf("%w: %s is a script: name its interpreter as Command[0] and say in Tree.Interpreter how that is known", ErrArtifact, c.name())
	}
	out.path = path.Join(AppDir, c[0])
	if out.system, err = judgeELF(program); err != nil {
		return err
	}
	if interpreters.MatchString(c.name()) { // the tree brings its own
		out.relative, err = c.runsFile(tree)
		return err
	}
	return c.runsNothingElse()
}

// interpret lets a verified interpreter run the tree.
func (t Tree) interpret(ctx context.Context, c command, out *prepared) error {
	var (
		by  *prepared
		err error
	)
	switch how := t.Interpreter.(type) {
	case Program:
		if how.PrivateCopy {
			return errors.New("an interpreter from a private copy: run it from sealed memory, or put it into the tree")
		}
		by, err = how.seal(ctx, c)
	case System:
		by, err = how.trust(c)
	default:
		return errors.New("an interpreter is a stdio.Program or stdio.System")
	}
	if err != nil {
		return err
	}
	out.program, out.path, out.exec, out.system = by.program, by.path, by.exec, by.system
	out.how += ", interpreter: " + by.how
	out.discard = append(out.discard, by.discard...)
	return nil
}

// copyTree copies the files below one folder to another, with rights of their own.
func copyTree(ctx context.Context, from, to *os.Root) error {
	room := int64(maxTreeBytes)
	return walkTree(ctx, from, func(name string, dir bool) error {
		if dir {
			return to.Mkdir(name, 0o755)
		}
		in, err := openRegular(from, name)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }() // nothing was written
		n, err := copyFile(to, name, io.LimitReader(in, room+1))
		if err != nil {
			return err
		}
		if room -= n; room < 0 {
			return fmt.Errorf("%w: more than %d bytes", ErrArtifact, int64(maxTreeBytes))
		}
		return nil
	})
}

// copyFile writes one file that everybody inside may read and run. See privateDir.write
// for why no child is cloned meanwhile.
func copyFile(to *os.Root, name string, from io.Reader) (n int64, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(out, from)
	return n, errors.Join(err, out.Chmod(0o555), out.Close())
}

// sumTree is the digest of a folder.
func sumTree(ctx context.Context, root *os.Root) (string, error) {
	var files []string
	if err := walkTree(ctx, root, func(name string, dir bool) error {
		if !dir {
			files = append(files, name)
		}
		return nil
	}); err != nil {
		return "", err
	}
	return dirhash.Hash1(files, func(name string) (io.ReadCloser, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return openRegular(root, name)
	})
}

// openRegular opens a file of a tree, and nothing that has no end or waits for somebody.
func openRegular(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|nonblocking, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is not a regular file", ErrArtifact, name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// walkTree visits each folder before what is in it. Links to files count as files: the
// root refuses those that lead out of it.
func walkTree(ctx context.Context, root *os.Root, visit func(name string, dir bool) error) error {
	count := 0
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if name == "." {
			return nil
		}
		if count++; count > maxTreeFiles || strings.Count(name, "/") >= maxTreeDepth {
			return fmt.Errorf("%w: more than %d files, or deeper than %d folders", ErrArtifact, maxTreeFiles, maxTreeDepth)
		}
		if entry.Type()&fs.ModeSymlink == 0 {
			return visit(name, entry.IsDir())
		}
		info, err := root.Stat(name)
		if err != nil {
			return fmt.Errorf("%w: link %s leads out of the folder or nowhere: %w", ErrArtifact, name, err)
		}
		if info.IsDir() {
			return fmt.Errorf("%w: %s is a link to a folder: install without links (npm: --install-links)", ErrArtifact, name)
		}
		return visit(name, false)
	})
}
