package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest/lock"
)

// passed are the variables of the environment that a server is started with: those it
// needs to find programs, its home and its language. No secret belongs in one of them, and
// none of them changes what the SDK puts on the wire.
var passed = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE",
	"SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMFILES", // Windows
}

// environment returns the variables to pass on. One that was asked for and is not set is
// an error: the server would be reviewed in another state than was meant.
func environment(names []string) ([]string, error) {
	env := []string{}
	for _, name := range passed {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for _, name := range names {
		value, ok := os.LookupEnv(name)
		switch {
		case name == "" || strings.Contains(name, "="):
			return nil, usagef("--env takes the name of a variable, not its value, which others could read in the list of processes")
		case !ok:
			return nil, usagef("--env %.*q: there is no such variable", maxQuoted, name)
		}
		env = append(env, name+"="+value)
	}
	return env, nil
}

// observe starts a server with that environment and reads what it shows.
func observe(ctx context.Context, args, env []string, timeout time.Duration) (*lock.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	said := &tail{}
	server := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // the user gave this command
	server.Env, server.Stderr = env, said
	server.WaitDelay = time.Second // what it started may hold its standard error open
	seen, err := lock.Observe(ctx, &mcp.CommandTransport{Command: server, TerminateDuration: 2 * time.Second})
	if errors.Is(err, exec.ErrWaitDelay) {
		err = fmt.Errorf("the server left a process behind that holds its standard error open: %w", err)
	}
	if text := said.String(); err != nil && text != "" {
		err = fmt.Errorf("%w; the server said: %s", err, text)
	}
	return seen, err
}
