package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const credsCheckHelp = `Check every credential of every tool: first the file, as a server would at its start, then
with the real services, without running a tool. It prints what each tool may do. Nothing
that is issued is printed, kept or handed to anybody.

Services are asked as the providers say: a role of AWS is assumed once, with made-up values
where a call's arguments and caller would stand; Vault is asked what the login may do; a
secret is read once and forgotten. A service has ten seconds, eight are asked at a time.
With --offline none is asked, and the table says what the file alone tells.

Status: ok; fail; skip (nobody can tell, such as what a password in a file opens, or not
asked, with --offline). The table fits the terminal; elsewhere it is as wide as it has to be,
or as COLUMNS says.

Members with --json:
  schema       1; a higher number when a member changes its meaning
  ok           true if nothing failed
  file         the file that was checked
  offline      true if no service was asked
  faults       list of what is wrong with the file; then no service is asked
  credentials  list, sorted by tool and credential; each with tool, credential, status, why,
               identity, rules [{deny, actions, resources, when}], lifetime, sessionPolicy,
               notes, took`

// credsFlags are those of check.
type credsFlags struct {
	tools   []string
	offline bool
	timeout time.Duration
}

// A credsReport is what check prints.
type credsReport struct {
	Schema      int          `json:"schema"`
	OK          bool         `json:"ok"`
	File        string       `json:"file"`
	Offline     bool         `json:"offline"`
	Faults      []string     `json:"faults"`
	Credentials []credential `json:"credentials"`
	closing     error        // what a login left behind
}

func newCredsCheck(a *app) *cobra.Command {
	var f credsFlags
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check the credentials of tools against the real services",
		Long:  credsCheckHelp,
		Example: `  mcpsec creds check
  mcpsec creds check /etc/notes/creds.json --tool list_notes
  mcpsec creds check creds.json --offline --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := defaultCreds
			if len(args) > 0 {
				path = args[0]
			}
			if f.timeout <= 0 {
				return usagef("--timeout must be more than zero")
			}
			r, err := f.check(cmd, path)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if err := a.emit(cmd, r, r.text(widthOf(out, os.Getenv), colourful(out, os.Getenv))); err != nil {
				return err
			}
			return r.err()
		},
	}
	p := cmd.Flags()
	p.StringArrayVar(&f.tools, "tool", nil, "check this tool alone; may be given again")
	p.BoolVar(&f.offline, "offline", false, "ask no service")
	p.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long all of it may take")
	return cmd
}

func (f *credsFlags) check(cmd *cobra.Command, path string) (*credsReport, error) {
	r := &credsReport{Schema: 1, File: path, Offline: f.offline, Credentials: []credential{}}
	in, faults := loadCreds(path)
	if in != nil {
		defer func() { r.closing = in.Close() }()
	}
	if r.Faults = faults; faults != nil {
		return r, nil
	}
	r.Faults = []string{}
	listed, err := listing(in, f.tools)
	if err != nil {
		return nil, usagef("--tool: %v", err)
	}
	if f.offline {
		r.Credentials = described(in, listed)
	} else {
		ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
		defer cancel()
		stop := working(cmd.ErrOrStderr(), fmt.Sprintf("asking for %d credentials", len(listed)))
		all, err := creds.Probe(ctx, in, f.tools...)
		stop()
		if err != nil {
			return nil, err
		}
		r.Credentials = probed(all)
	}
	r.OK = r.failed() == 0
	return r, nil
}

// listing returns what is bound, without asking anybody: with a context that is over,
// Probe only says what it would have tried.
func listing(in *creds.Injector, tools []string) ([]creds.Probed, error) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	return creds.Probe(over, in, tools...)
}

func probed(all []creds.Probed) []credential {
	rows := make([]credential, 0, len(all))
	for _, p := range all {
		c := credential{Tool: p.Tool, Name: p.Name, Status: "ok", may: newMay(p.Access), Took: p.Took.Round(time.Millisecond).String()}
		switch {
		case untold(p.Err):
			c.Status, c.Why, c.Took = "skip", "what it opens, nobody here can tell; it is there", ""
		case p.Err != nil:
			c.Status, c.Why = "fail", p.Err.Error()
		}
		rows = append(rows, c)
	}
	return rows
}

// described says what the file alone tells. What depends on a call is for simulate.
func described(in *creds.Injector, listed []creds.Probed) []credential {
	rows := make([]credential, 0, len(listed))
	for _, p := range listed {
		c := credential{Tool: p.Tool, Name: p.Name, Status: "skip", Why: "not asked", may: newMay(creds.Access{})}
		all, err := creds.Simulate(in, p.Tool, json.RawMessage(`{}`), mcpsec.Principal{})
		for _, d := range all {
			switch {
			case d.Name != p.Name:
			case d.Err == nil:
				c.may = newMay(d.Access)
			case untold(d.Err):
				c.Why = "not asked; what it opens, nobody here can tell"
			default:
				c.Why = "not asked; depends on the call: mcpsec creds simulate"
			}
		}
		if err != nil {
			c.Status, c.Why = "fail", err.Error()
		}
		rows = append(rows, c)
	}
	return rows
}

func (r *credsReport) failed() (n int) {
	for _, c := range r.Credentials {
		if c.Status == "fail" {
			n++
		}
	}
	return n
}

func (r *credsReport) err() error {
	switch n := r.failed(); {
	case len(r.Faults) == 1:
		return fmt.Errorf("%s has 1 fault", r.File)
	case len(r.Faults) > 1:
		return fmt.Errorf("%s has %d faults", r.File, len(r.Faults))
	case n == 1:
		return fmt.Errorf("1 credential does not work")
	case n > 1:
		return fmt.Errorf("%d credentials do not work", n)
	}
	return r.closing
}
