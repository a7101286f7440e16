package main

import (
	"github.com/spf13/cobra"
)

const profileHelp = `Work with profiles: what a sandboxed server may read, write, execute and reach.

A profile is a JSON file; its members are the fields of sandbox.Profile in the library.`

func newProfile(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "profile",
		Short:   "Learn what a server needs, as a profile for its sandbox",
		Long:    profileHelp,
		Example: `  mcpsec profile learn -o profile.json -- ./weather-mcp`,
	}
	cmd.AddCommand(newProfileLearn(a))
	return cmd
}
