package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/creds/bindings"
)

func newCredsSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the file, for editors",
		Long: `Print the JSON schema (draft 2020-12) of a file of bindings. An editor checks and completes
the file with it once the file names it, in the member "$schema".`,
		Example: `  mcpsec creds schema > creds.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, err := bindings.Schema()
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", schema); err != nil {
				return fmt.Errorf("writing the result: %w", err)
			}
			return nil
		},
	}
}
