package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/learn"
)

const profileLearnHelp = `Run a server with everything allowed, follow its system calls and those of all its
descendants, and write the smallest profile that covers what they did.

The server has this command's standard input and output: put the command into a client's
configuration in place of the server, use every tool once, and leave. The profile goes to
a file, what could not be put into one to standard error. Read it before you use it: it
holds whatever the server did, right or wrong.

The server runs with all your rights while it is watched, and slowly. Run nothing you do
not trust that far. It ends with its standard input, with the time
given, or with an interrupt. Linux only.`

func newProfileLearn(_ *app) *cobra.Command {
	var output string
	var limit time.Duration
	var root bool
	cmd := &cobra.Command{
		Use:   "learn -- COMMAND [ARGUMENT...]",
		Short: "Run a server permissively and write the profile that covers what it did",
		Long:  profileLearnHelp,
		Example: `  mcpsec profile learn -o profile.json -- ./weather-mcp
  mcpsec profile learn -o files.json --for 2m -- node server.js /home/me/notes`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if os.Geteuid() == 0 && !root {
				return errors.New("the command would run with all rights of root while it is watched: run this as an ordinary user, or add --root")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			seen, err := watch(ctx, args)
			if err != nil {
				return err
			}
			profile, remarks := seen.Profile()
			raw, err := encode(profile)
			if err != nil {
				return err
			}
			if err := os.WriteFile(output, raw, 0o600); err != nil {
				return fmt.Errorf("writing the profile: %w", err)
			}
			return told(cmd.ErrOrStderr(), output, profile, remarks)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "profile.json", "file for the profile, which is overwritten")
	cmd.Flags().DurationVar(&limit, "for", 0, "end the server after this time, such as 90s; 0 means when it ends")
	cmd.Flags().BoolVar(&root, "root", false, "run the server as root if this is root")
	return cmd
}

// watch runs the command under the eyes of package learn.
func watch(ctx context.Context, args []string) (*learn.Seen, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	return learn.Run(ctx, path, args, &os.ProcAttr{Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
}

// told says in a few lines what was learned; standard output belongs to the server.
func told(w io.Writer, output string, p sandbox.Profile, remarks []string) error {
	var b bytes.Buffer
	rows := []row{{"profile", shown(output, 500)}}
	for _, list := range []struct {
		name  string
		items []string
	}{{"read", p.Read}, {"write", p.Write}, {"execute", p.Exec}, {"reach", p.Egress}, {"system calls", p.Syscalls}} {
		if len(list.items) > 0 {
			rows = append(rows, row{list.name, shown(strings.Join(list.items, ", "), 500)})
		}
	}
	align(&b, "", rows)
	for _, remark := range remarks {
		fmt.Fprintf(&b, "note: %s\n", shown(remark, 500))
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return errors.Join(errors.New("writing what was learned"), err)
	}
	return nil
}
