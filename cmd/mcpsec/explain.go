package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// An explanation is a code as the user sees it; its members are those of the JSON form.
type explanation struct {
	Code    string `json:"code"`
	Package string `json:"package"`
	Kind    string `json:"kind"`
	Meaning string `json:"meaning"`
	Wire    string `json:"wire"`
	Remedy  string `json:"remedy"`
}

func explain(s shelf, c mcpsec.Code) explanation {
	return explanation{c.Name, s.pkg, c.Kind.String(), c.Meaning, codeOnWire(c), c.Remedy}
}

func newExplain(a *app) *cobra.Command {
	var markdown bool
	var output string
	cmd := &cobra.Command{
		Use:   "explain [CODE]",
		Short: "Say what a refusal code means and what to do",
		Long: `Say of a refusal code what happened, what the client sees, and what to do. Codes stand
in the audit record, in the data of JSON-RPC errors and in the _meta of refused tool
results. Without CODE, list all codes by package. An unknown code is a usage error.

Members with --json: code, package, kind, meaning, wire (what the client sees),
remedy; without CODE an object with the member codes, a list of these.`,
		Example: `  mcpsec explain
  mcpsec explain attest.definition_mismatch
  mcpsec explain ratelimit.exceeded --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeCode,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case markdown && (len(args) > 0 || a.json):
				return usagef("--markdown documents all codes: leave CODE and --json out")
			case markdown:
				return writeMarkdown(cmd, output)
			case output != "":
				return usagef("--output goes with --markdown")
			case len(args) == 0:
				return a.explainAll(cmd)
			}
			return a.explainOne(cmd, args[0])
		},
	}
	// For go generate; see main.go.
	cmd.Flags().BoolVar(&markdown, "markdown", false, "write the documentation of all codes")
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write the documentation to")
	for _, name := range []string{"markdown", "output"} {
		cmd.Flags().Lookup(name).Hidden = true
	}
	return cmd
}

func completeCode(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if len(args) == 0 {
		names = slices.DeleteFunc(codeNames(catalog()), func(name string) bool { return !strings.HasPrefix(name, begun) })
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) explainOne(cmd *cobra.Command, name string) error {
	shelves := catalog()
	e, ok := find(shelves, name)
	if !ok {
		return &usageError{message: fmt.Sprintf("unknown code %.*q", maxQuoted, name), nearest: nearest(name, codeNames(shelves))}
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, e.Code)
	align(&b, "  ", []row{
		{"package", e.Package},
		{"kind", e.Kind},
		{"meaning", e.Meaning},
		{"client sees", e.Wire},
		{"remedy", e.Remedy},
	})
	return a.emit(cmd, e, b.String())
}

func (a *app) explainAll(cmd *cobra.Command) error {
	list := struct {
		Codes []explanation `json:"codes"`
	}{}
	var b bytes.Buffer
	for i, s := range catalog() {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintln(&b, s.pkg)
		var rows []row
		for _, c := range s.codes {
			list.Codes = append(list.Codes, explain(s, c))
			rows = append(rows, row{c.Name, c.Meaning})
		}
		align(&b, "  ", rows)
	}
	return a.emit(cmd, list, b.String())
}

func writeMarkdown(cmd *cobra.Command, path string) error {
	page := markdownPage(catalog())
	if path == "" {
		_, err := cmd.OutOrStdout().Write(page)
		return err
	}
	return os.WriteFile(path, page, 0o644) //nolint:gosec // G306: documentation is for everybody to read
}
