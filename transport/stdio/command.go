package stdio

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a command.
const (
	maxArguments = 1024
	maxCommand   = 128 << 10 // bytes
)

var errFetched = errors.New("what it runs is chosen, and may be downloaded, after the start, so nobody can verify it")

// fetchers run whatever a registry has at the time.
var fetchers = []string{"npx", "npx-cli.js", "npm", "npm-cli.js", "pnpm", "pnpx", "yarn", "yarnpkg", "bunx", "corepack", "uv", "uvx", "pip", "pip3", "pipx", "poetry", "pdm", "hatch", "conda", "gem", "bundle", "cargo", "go", "dnx", "jbang", "curl", "wget", "docker", "podman", "nerdctl"}

// wrappers run another program that stands in their arguments.
var wrappers = []string{"env", "nohup", "setsid", "nice", "ionice", "chrt", "taskset", "timeout", "stdbuf", "xargs", "find", "sudo", "doas", "su", "runuser", "setpriv", "busybox", "toybox", "script", "strace", "unshare", "nsenter", "bwrap", "watch", "time", "ld.so", "parallel", "make", "git"}

// interpreters run a script that stands in their arguments.
var interpreters = regexp.MustCompile(`^(node|nodejs|deno|bun|tsx|ts-node|(ba|da|z|k|mk|a|fi|tc|c)?sh|(python|pypy|ruby|perl|php|lua|luajit|tclsh|wish|guile|java|jruby|dotnet|mono|erl|elixir|Rscript|R|julia|ocaml|racket|awk|gawk|mawk|expect)[0-9.]*|ld-.*\.so.*)$`)

// name is the base name of the program, for messages.
func (c command) name() string { return filepath.Base(c[0]) }

// check holds a command to its bounds.
func (c command) check() error {
	if len(c) == 0 || c[0] == "" {
		return errors.New("stdio: Launch.Command is empty: name the program and its arguments")
	}
	size := 0
	for _, arg := range c {
		if size += len(arg) + 1; strings.ContainsRune(arg, 0) {
			return errors.New("stdio: an argument of Launch.Command holds a zero byte")
		}
	}
	if len(c) > maxArguments || size > maxCommand {
		return fmt.Errorf("stdio: Launch.Command has more than %d arguments or %d bytes", maxArguments, maxCommand)
	}
	return nil
}

// runsItself refuses programs whose arguments say what else runs. The names are a help
// against mistakes: a copy under another name is what its digest says.
func (c command) runsItself() error {
	if err := c.runsNothingElse(); err != nil {
		return err
	}
	if name := c.anyOf(interpreters.MatchString); name != "" {
		return fmt.Errorf("stdio: %w: %s runs a script that is not verified: put it and what it loads into a stdio.Tree with %s as Interpreter", ErrArtifact, name, name)
	}
	return nil
}

func (c command) runsNothingElse() error {
	if name := c.anyOf(func(name string) bool { return slices.Contains(fetchers, name) }); name != "" {
		return fmt.Errorf("stdio: %w: %s: %w: install the package into a folder ahead, compute its digest with stdio.SumTree, and run it as a stdio.Tree", ErrArtifact, name, errFetched)
	}
	if name := c.anyOf(func(name string) bool { return slices.Contains(wrappers, name) }); name != "" {
		return fmt.Errorf("stdio: %w: %s runs another program that is not verified: name that one as Command[0]", ErrArtifact, name)
	}
	return nil
}

// anyOf returns the first name of the program that is meant: its own, or those of the
// files that its links lead to.
func (c command) anyOf(is func(string) bool) string {
	names := []string{c.name()}
	if file, err := find(c[0]); err == nil {
		if target, err := filepath.EvalSymlinks(file); err == nil {
			names = append(names, filepath.Base(target))
		}
	}
	i := slices.IndexFunc(names, is)
	if i < 0 {
		return ""
	}
	return printable(names[i])
}

func printable(name string) string {
	quoted := strconv.QuoteToASCII(name)
	return quoted[1 : len(quoted)-1]
}

// harmless are flags of an interpreter that load no code.
var harmless = map[string][]string{
	"node":   {"--no-warnings", "--no-deprecation", "--enable-source-maps", "--use-env-proxy", "--use-system-ca", "--trace-warnings", "--trace-uncaught", "--jitless", "--disallow-code-generation-from-strings", "--preserve-symlinks", "--max-old-space-size=*", "--stack-trace-limit=*", "--max-http-header-size=*", "--title=*"},
	"python": {"-u", "-B", "-I", "-E", "-s", "-S", "-P", "-O", "-OO", "-q", "-b"},
}

// runsFile makes sure that an interpreter runs a file of the tree: arguments before it
// could say otherwise. It reports whether the working directory has a say in which.
func (c command) runsFile(tree *os.Root) (relative bool, err error) {
	if err := c.runsNothingElse(); err != nil {
		return false, err
	}
	family := strings.TrimRight(c.name(), "0123456789.")
	if family == "nodejs" {
		family = "node"
	}
	for i := 1; i < len(c); i++ {
		arg := c[i]
		switch {
		case family == "python" && arg == "-m" && i+1 < len(c):
			if slices.Contains(c[1:i], "-I") || slices.Contains(c[1:i], "-P") {
				return false, fmt.Errorf("%w: with -I or -P, python takes -m from the distribution and not from the tree: leave it out, or name the script", ErrArtifact)
			}
			return true, pythonModule(tree, c[i+1])
		case family == "java" && arg == "-jar":
			continue
		case strings.HasPrefix(arg, "-"):
			if !slices.ContainsFunc(harmless[family], func(flag string) bool {
				prefix, open := strings.CutSuffix(flag, "*")
				return arg == flag || open && strings.HasPrefix(arg, prefix)
			}) {
				return false, fmt.Errorf("%w: %s before the script may run something else: leave it out, or do in the script what it does", ErrArtifact, printable(arg))
			}
			continue
		}
		return !strings.HasPrefix(arg, AppDir+"/"), isFile(tree, arg)
	}
	return false, fmt.Errorf("%w: %s is given no script", ErrArtifact, c.name())
}

// pythonModule finds the module that python -m runs, in its working directory. The packages
// it lies in must be whole: of two, python takes the one that has an __init__.py.
func pythonModule(tree *os.Root, module string) error {
	name := strings.ReplaceAll(module, ".", "/")
	for i, c := range name {
		if c != '/' {
			continue
		}
		if err := isFile(tree, name[:i]+"/__init__.py"); err != nil {
			return err
		}
	}
	if isFile(tree, name+".py") == nil {
		return nil
	}
	return isFile(tree, name+"/__main__.py")
}

func isFile(tree *os.Root, name string) error {
	info, err := tree.Stat(path.Clean(strings.TrimPrefix(name, AppDir+"/")))
	if err != nil {
		return fmt.Errorf("%w: %s is no file of the tree: name the script relative to the folder: %w", ErrArtifact, printable(name), err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is a folder, in which the interpreter chooses: name the script", ErrArtifact, printable(name))
	}
	return nil
}
