package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

const doctorHelp = `Check the environment a guarded server would be started in. Run it as the server is
run: as the same user, with the same environment variables.

Nothing is changed: doctor reads environment variables, the metadata of the audit folder,
and files below /proc and /sys, and starts one process that puts every control of the
sandbox on itself and ends. Of environment variables it prints names, never values.

Status: ok; warn (works, but something is weaker than it should be); fail (do not
serve like this); skip (not checked, for the reason given).

Members with --json:
  schema   2; a higher number when a member changes its meaning
  ok       true if no check failed
  counts   number of checks by status: ok, warn, fail, skip
  checks   list, always of the same names in the same order; each with
           name, status, found, remedy (empty if nothing is to be done)
  sandbox  what that process was confined by, as sandbox.Report of the library;
           null if none could be started`

func newDoctor(a *app) *cobra.Command {
	var audit string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the environment a server is started in",
		Long:  doctorHelp,
		Example: `  mcpsec doctor
  mcpsec doctor --audit /var/lib/notes/audit
  mcpsec doctor --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if audit == "" && cmd.Flags().Changed("audit") {
				return usagef("--audit needs the path of a folder")
			}
			h := thisHost(cmd.Context())
			h.audit = audit
			r := examine(h)
			out := cmd.OutOrStdout()
			if err := a.emit(cmd, r, r.text(colourful(out, os.Getenv))); err != nil {
				return err
			}
			return r.err()
		},
	}
	cmd.Flags().StringVar(&audit, "audit", "", "audit folder of the server, to check whether it can be written")
	return cmd
}

// A status is the outcome of one check.
type status string

const (
	statusOK   status = "ok"
	statusWarn status = "warn"
	statusFail status = "fail"
	statusSkip status = "skip"
)

// colour is the SGR parameter a terminal shows the status in.
func (s status) colour() string {
	switch s {
	case statusOK:
		return "32" // green
	case statusWarn:
		return "33" // yellow
	case statusFail:
		return "31" // red
	case statusSkip:
	}
	return "2" // faint
}

// A finding is what a check says.
type finding struct {
	Name   string `json:"name"`
	Status status `json:"status"`
	Found  string `json:"found"`
	Remedy string `json:"remedy"`
}

// A report is what doctor prints; its members are those of the JSON form.
type report struct {
	Schema int            `json:"schema"`
	OK     bool           `json:"ok"`
	Counts map[status]int `json:"counts"`
	Checks []finding      `json:"checks"`

	Sandbox *sandbox.Report `json:"sandbox"`
}

// examine runs every check.
func examine(h host) report {
	r := report{Schema: 2, Sandbox: h.sandbox, Counts: map[status]int{statusOK: 0, statusWarn: 0, statusFail: 0, statusSkip: 0}}
	for _, c := range checks {
		f := c.run(h)
		f.Name = c.name
		r.Counts[f.Status]++
		r.Checks = append(r.Checks, f)
	}
	r.OK = r.Counts[statusFail] == 0
	return r
}

func (r report) err() error {
	switch n := r.Counts[statusFail]; n {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("1 check failed")
	default:
		return fmt.Errorf("%d checks failed", n)
	}
}

// text renders the report in aligned lines; a remedy goes below what was found.
func (r report) text(colours bool) string {
	width := 0
	for _, f := range r.Checks {
		width = max(width, len(f.Name))
	}
	var b bytes.Buffer
	for _, f := range r.Checks {
		label := fmt.Sprintf("%-4s", f.Status)
		if colours {
			label = "\x1b[" + f.Status.colour() + "m" + label + "\x1b[0m"
		}
		fmt.Fprintf(&b, "%s  %-*s  %s\n", label, width, f.Name, f.Found)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "%*s  %s\n", len("warn  ")+width, "", f.Remedy)
		}
	}
	fmt.Fprintf(&b, "\n%d checks: %d ok, %d warn, %d fail, %d skip\n", len(r.Checks),
		r.Counts[statusOK], r.Counts[statusWarn], r.Counts[statusFail], r.Counts[statusSkip])
	return b.String()
}
