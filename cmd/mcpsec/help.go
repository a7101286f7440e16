package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// newHelp makes the help command. Unlike cobra's own it treats a topic that does
// not exist as a usage error.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		Long:  "Show the help of a command, as COMMAND --help does.",
		Example: `  mcpsec help
  mcpsec help explain`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usagef("%v", err)
			}
			if len(rest) > 0 {
				return unknownCommand(target, rest[0])
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}

// addCompletion adds cobra's completion command and gives it what every command
// here has: examples, and an error for an unknown name.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		group(c).Short = "Print a completion script for a shell"
		c.Example = "  mcpsec completion bash > /etc/bash_completion.d/mcpsec"
		for _, shell := range c.Commands() {
			shell.Short = "Print the completion script for " + shell.Name()
			shell.Example = fmt.Sprintf("  mcpsec completion %s --no-descriptions", shell.Name())
		}
	}
}
