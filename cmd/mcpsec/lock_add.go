package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/attest/lock"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// A launch is a server that is started over stdio.
type launch struct {
	path, artifact string
	timeout        time.Duration
}

func (l *launch) add(cmd *cobra.Command) {
	addLockFile(cmd, &l.path)
	cmd.Flags().StringVar(&l.artifact, "artifact", "", "the program or package that runs; its SHA-256 is pinned, too (lock.Launched)")
	cmd.Flags().DurationVar(&l.timeout, "timeout", time.Minute, "how long the server may take for everything")
}

// observe starts the command behind the dashes and reads what the server shows.
func (l *launch) observe(cmd *cobra.Command, args []string) (name string, file *lock.File, seen *lock.Server, err error) {
	if cmd.ArgsLenAtDash() != 1 || len(args) < 2 {
		return "", nil, nil, usagef("give the name of the server, two dashes and the command that starts it: %s files -- files-server --stdio", cmd.CommandPath())
	}
	if l.timeout <= 0 {
		return "", nil, nil, usagef("--timeout must be more than nothing")
	}
	file, err = lock.Load(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = &lock.File{}, nil
	}
	if err != nil {
		return "", nil, nil, err
	}
	artifact, err := hashArtifact(l.artifact)
	if err != nil {
		return "", nil, nil, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), l.timeout)
	defer cancel()
	said := &tail{}
	server := exec.CommandContext(ctx, args[1], args[2:]...) //nolint:gosec // the user gave this command
	server.WaitDelay = time.Second                           // what it started may hold its standard error open
	server.Stderr = said
	seen, err = lock.Observe(ctx, &mcp.CommandTransport{Command: server, TerminateDuration: 2 * time.Second})
	if err != nil {
		if text := said.String(); text != "" {
			err = fmt.Errorf("%w; the server said: %s", err, text)
		}
		return "", nil, nil, err
	}
	seen.Artifact = artifact
	return args[0], file, seen, nil
}

func newLockAdd(a *app) *cobra.Command {
	var (
		l                    launch
		firstUse, approveAll bool
	)
	cmd := &cobra.Command{
		Use:   "add NAME [--approve-all | --first-use] -- COMMAND [ARGUMENT]...",
		Short: "Start a server and pin what it shows",
		Long: `Start a server over stdio, read what it says of itself and all its definitions, show
them, and pin what is approved under a name that you choose. On a terminal each one is
asked about; otherwise say --approve-all, which approves exactly the bytes that this run
prints, for you to read afterwards, or --first-use if nobody will, which the lock file
then says. What is not approved waits for mcpsec lock
review. For a server that is pinned already, only what differs is shown.

The command runs as it would in a host: with your rights and your environment.

Members with --json: those of mcpsec lock review.`,
		Example: `  mcpsec lock add files -- files-server --stdio
  mcpsec lock add files --artifact ./files-server --approve-all -- ./files-server`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if firstUse && approveAll {
				return usagef("give one of --approve-all and --first-use")
			}
			name, file, seen, err := l.observe(cmd, args)
			if err != nil {
				return err
			}
			changes := file.Compare(name, seen)
			if err := lock.Submit(cmd.Context(), l.path, changes...); err != nil {
				return err
			}
			if err := l.checkProgram(cmd, name, file.Servers[name], seen.Artifact, firstUse || approveAll); err != nil {
				return err
			}
			how := lock.Reviewed
			if firstUse {
				how = lock.OnFirstUse
			}
			reviewed := a.review(cmd, l.path, how, changes, decisions{approveAll: firstUse || approveAll, observed: true})
			return errors.Join(reviewed, settle(cmd.Context(), l.path, name, seen.Artifact))
		},
	}
	l.add(cmd)
	cmd.Flags().BoolVar(&firstUse, "first-use", false, "pin everything, and note that nobody looked at it")
	cmd.Flags().BoolVar(&approveAll, "approve-all", false, "pin everything as reviewed")
	return cmd
}

// checkProgram refuses to change the program of a server that is pinned already, unless
// everything is approved. To leave it out would be to forget that there was one.
func (l *launch) checkProgram(cmd *cobra.Command, name string, had *lock.Server, now *lock.Artifact, approved bool) error {
	switch {
	case had == nil || sameProgram(had.Artifact, now):
		return nil
	case now == nil:
		return fmt.Errorf("server %.*q is pinned with a program: give it with --artifact", maxQuoted, name)
	case !approved:
		return fmt.Errorf("the program is not the one in %s: after a wanted update, give --approve-all", l.path)
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "server %s: the program is now %s sha256:%s\n", visible(name), visible(now.Name), now.SHA256)
	return err
}

func sameProgram(a, b *lock.Artifact) bool { return a == b || a != nil && b != nil && *a == *b }

// settle seals the lists of a server whose identity was approved.
func settle(ctx context.Context, path, name string, artifact *lock.Artifact) error {
	file, err := lock.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if s := file.Servers[name]; s == nil || s.Identity == nil {
		return nil
	}
	return lock.Seal(ctx, path, name, artifact)
}

func newLockCheck(a *app) *cobra.Command {
	var l launch
	cmd := &cobra.Command{
		Use:   "check NAME -- COMMAND [ARGUMENT]...",
		Short: "Start a server and compare it with the lock file",
		Long: `Start a server over stdio, read what it shows, and compare all of it with the lock file.
The exit code is 0 if nothing differs, and 1 otherwise; a definition that is no longer
shown counts as a difference. What differs then waits for mcpsec lock review.

Members with --json: those of mcpsec lock review.`,
		Example: `  mcpsec lock check files -- files-server --stdio`,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, file, seen, err := l.observe(cmd, args)
			if err != nil {
				return err
			}
			had := file.Servers[name]
			if had == nil {
				return fmt.Errorf("server %.*q is not in %s: mcpsec lock add pins it", maxQuoted, name, l.path)
			}
			changes := file.Compare(name, seen)
			if err := lock.Submit(cmd.Context(), l.path, changes...); err != nil {
				return err
			}
			r := newLockReport(file, changes)
			text := r.text(changes)
			if len(changes) == 0 {
				text += "nothing differs\n"
			}
			if err := a.emit(cmd, r, text); err != nil {
				return err
			}
			if had.Artifact == nil && seen.Artifact != nil {
				return fmt.Errorf("no program is pinned in %s, so that --artifact says nothing: mcpsec lock add pins it", l.path)
			}
			if !sameProgram(had.Artifact, seen.Artifact) {
				return fmt.Errorf("the program is not the one in %s: give it with --artifact; after a wanted update, mcpsec lock add again", l.path)
			}
			if len(changes) > 0 {
				return fmt.Errorf("%d differences: mcpsec lock review", len(changes))
			}
			return nil
		},
	}
	l.add(cmd)
	return cmd
}

// maxArtifact bounds a program that is hashed, in bytes.
const maxArtifact = 4 << 30

func hashArtifact(path string) (*lock.Artifact, error) {
	if path == "" {
		return nil, nil
	}
	f, _, err := regular.Open(path, maxArtifact, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return nil, err
	}
	return &lock.Artifact{Name: filepath.Base(path), SHA256: hex.EncodeToString(hash.Sum(nil))}, nil
}

// A tail keeps the last words of a program that failed.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxLastWords = 2048

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - maxLastWords; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
