package draft

import (
	"bufio"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// maxProgram bounds a program, in bytes.
const maxProgram = 4 << 30

// A Program is the file that a command starts, and the file it interprets if it is an
// interpreter.
type Program struct {
	Path   string // of the executable, without links
	Script string // of what is interpreted; empty if nothing is
	// Bare is set for an interpreter whose command line does not say which file it runs:
	// there is none, or an option before it names code, a module or another file. What
	// runs is then not known.
	Bare bool
}

// interpreters are programs that run other programs or files, without digits and dots at the end of
// their names.
var interpreters = []string{
	"sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox", "pwsh", "powershell",
	"python", "pypy", "node", "deno", "bun", "ruby", "perl", "php", "lua", "java", "dotnet", "rscript",
	"nodejs", "tsx", "ts-node", "tclsh", "guile", "escript", "elixir", "julia", "awk", "gawk",
	"sudo", "doas", "nice", "nohup", "timeout", "stdbuf", "setsid", "xargs", "tini", "dumb-init", "bwrap",
	"env", "npx", "npm", "uvx", "uv", "pipx", "pnpm", "yarn", "go", "docker", "podman",
}

// Find says which file a command starts. It follows links and "#!" lines, which may name
// an interpreter through env; that of an interpreter is followed no further.
func Find(command string, args ...string) (Program, error) {
	path, err := resolve(command)
	if err != nil {
		return Program{}, err
	}
	line, err := firstLine(path)
	if err != nil {
		return Program{}, err
	}
	if rest, ok := strings.CutPrefix(line, "#!"); ok {
		words := strings.Fields(rest)
		if len(words) > 1 && filepath.Base(words[0]) == "env" {
			words = slices.DeleteFunc(words[1:], func(w string) bool { return strings.HasPrefix(w, "-") || strings.Contains(w, "=") })
		}
		if len(words) == 0 {
			return Program{}, fmt.Errorf("%s: its #! line names no interpreter", path)
		}
		interpreter, err := resolve(words[0])
		return Program{Path: interpreter, Script: path}, err
	}
	p := Program{Path: path}
	if !interprets(command) && !interprets(path) {
		return p, nil
	}
	for _, arg := range args {
		if info, err := os.Stat(arg); err == nil && info.Mode().IsRegular() {
			p.Script, err = filepath.Abs(arg)
			return p, err
		}
		p.Bare = p.Bare || loads(arg)
	}
	p.Bare = true
	return p, nil
}

// loading are options of interpreters that run something else than the file after them.
var loading = []string{"--eval", "--print", "--require", "--import", "--loader", "--experimental-loader", "--module", "--command"}

// loads reports whether an option may be one of them. In short ones, which may be several
// in one, the letters decide: -c and -e are code, -m a module, -r and -p either.
func loads(option string) bool {
	name, _, _ := strings.Cut(option, "=")
	switch {
	case strings.HasPrefix(name, "--"):
		return slices.Contains(loading, name)
	case strings.HasPrefix(name, "-"):
		return name != "-jar" && strings.ContainsAny(name, "cemrp")
	}
	return false
}

func interprets(path string) bool {
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(path)), ".exe")
	return slices.Contains(interpreters, strings.TrimRight(name, "0123456789.-"))
}

func resolve(command string) (string, error) {
	path, err := exec.LookPath(command)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("looking for the program: %w", err)
	}
	return path, nil
}

// firstLine returns the beginning of a file that may be its "#!" line.
func firstLine(path string) (string, error) {
	f, _, err := regular.Open(path, maxProgram, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // nothing was written
	line, err := bufio.NewReaderSize(io.LimitReader(f, 1024), 1024).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return line, nil
}

// Executable describes a program for a platform, such as "linux/amd64", with what it says
// of its build if Go built it.
func Executable(ctx context.Context, platform, path string) (e manifest.Executable, err error) {
	f, info, err := regular.Open(path, maxProgram, nil)
	if err != nil {
		return e, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	sum := sha256.New()
	n, err := io.Copy(sum, &bounded{ctx, io.LimitReader(f, info.Size()+1)})
	switch {
	case err != nil:
		return e, fmt.Errorf("%s: %w", path, err)
	case n != info.Size():
		return e, fmt.Errorf("%s changed while it was read", path)
	}
	e = manifest.Executable{Platform: platform, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: n}
	if build, err := buildinfo.Read(f); err == nil { // else it is not of Go, or says nothing
		e.GoBuild = manifest.Build(build)
	}
	return e, nil
}

// A bounded reader ends with its context.
type bounded struct {
	ctx context.Context //nolint:containedctx // io.Reader has no place for one
	r   io.Reader
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}
