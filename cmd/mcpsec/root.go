package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

// commands are the sub-commands, in the order of the alphabet.
var commands = []func(*app) *cobra.Command{
	newAudit,
	newCreds,
	newDiff,
	newDoctor,
	newExplain,
	newFreeze,
	newKeygen,
	newLock,
	newManifest,
	newProfile,
	newSBOM,
	newSign,
	newStatus,
	newTLS,
	newThaw,
	newVerify,
	newVersion,
	newVuln,
}

// app is what the sub-commands share. One is made for each run.
type app struct {
	json bool // the --json flag
	// running is set once a command's own code has begun. An error before that is
	// about the command line.
	running bool
}

const rootHelp = `mcpsec puts security controls around the calls of a Model Context Protocol server.
This command line makes, signs and verifies the manifest of a server, pins the servers
of others, says what each tool's credentials allow, reads and verifies the audit record,
freezes what runs away, explains what the library refuses, and checks the environment it
runs in.

Results go to standard output. An error is one line on standard error, "mcpsec: ..."
or, with --json, {"error": {"message", "exitCode", "hint", "nearest"}}; the last two
members are there when they hold something.

Exit codes:
  0  ok
  1  a check failed, or the command could not do its work
  2  usage error: unknown command, flag, argument or code`

// newRoot makes the command tree. What a command returns is reported by execute,
// never by cobra.
func newRoot(a *app, out, errs io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "mcpsec",
		Short: "Security controls for MCP servers",
		Long:  rootHelp,
		Example: `  mcpsec manifest -- ./notes-server
  mcpsec verify manifest.sigstore.json --key release.pub
  mcpsec audit verify --dir /var/lib/notes/audit
  mcpsec doctor
  mcpsec explain ratelimit.exceeded
  mcpsec version --json`,
		Args:          cobra.ArbitraryArgs, // what is no sub-command is answered by RunE
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.SetOut(out)
	root.SetErr(errs)
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print results and errors as JSON")
	for _, command := range commands {
		root.AddCommand(command(a))
	}
	root.SetHelpCommand(newHelp())
	root.InitDefaultHelpCmd()
	addCompletion(root)
	a.watch(root)
	return root
}

// watch notes when a command's own code begins.
func (a *app) watch(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.running = true
			return run(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		a.watch(c)
	}
}

// group makes a command that only holds others. Cobra's own answer to an unknown
// name below such a command is its help and exit code 0, which a script would take
// for success.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s needs a sub-command", cmd.CommandPath())
		}
		return unknownCommand(cmd, args[0])
	}
	return cmd
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, out, errs io.Writer) int {
	if args == nil {
		args = []string{} // for cobra, nil means os.Args
	}
	a := &app{}
	root := newRoot(a, out, errs)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	f := newFailure(cmd, err, a.running)
	f.report(errs, a.json || !a.running && wantsJSON(args))
	return f.ExitCode
}
