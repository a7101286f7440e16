package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/bindings"
)

const credsHelp = `Look at which tool gets which credentials: the same file a server reads with
bindings.Load, creds.json in this folder if none is named. What a secret is, no command
here prints.`

// defaultCreds is the file of bindings where none is named.
const defaultCreds = "creds.json"

func newCreds(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "creds",
		Short: "Look at the credentials of tools",
		Long:  credsHelp,
		Example: `  mcpsec creds check /etc/notes/creds.json
  mcpsec creds simulate list_notes {"folder":"drafts"}
  mcpsec creds schema > creds.schema.json`,
	})
	cmd.AddCommand(newCredsCheck(a), newCredsSchema(), newCredsSimulate(a))
	return cmd
}

// loadCreds returns the injector of a file, and what is wrong with the file. The caller
// closes the injector, which is nil if the file says nothing.
func loadCreds(path string) (*creds.Injector, []string) {
	bound, err := bindings.Load(path)
	if err != nil {
		return nil, faultsOf(strings.TrimPrefix(err.Error(), path+": "))
	}
	in := creds.New(bound...)
	if err := in.Check(); err != nil {
		return in, faultsOf(err.Error())
	}
	return in, nil
}

// faultsOf takes joined errors apart again.
func faultsOf(text string) []string {
	var faults []string
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "creds: ")
		if line != "" {
			faults = append(faults, line)
		}
	}
	return faults
}

// A credential is one row of what check prints; its members are those of the JSON form.
type credential struct {
	Tool   string `json:"tool"`
	Name   string `json:"credential"`
	Status string `json:"status"` // "ok", "fail", or "skip" for what was not asked or cannot be
	Why    string `json:"why,omitempty"`
	may
	Took string `json:"took,omitempty"`
}

// may is what a credential lets its holder do.
type may struct {
	Identity string           `json:"identity,omitempty"`
	Rules    []credentialRule `json:"rules"`
	Lifetime string           `json:"lifetime,omitempty"`
	Policy   any              `json:"sessionPolicy,omitempty"`
	Notes    []string         `json:"notes"`
}

type credentialRule struct {
	Deny      bool     `json:"deny,omitempty"`
	Actions   []string `json:"actions"`
	Resources []string `json:"resources"`
	When      string   `json:"when,omitempty"`
}

func newMay(a creds.Access) may {
	m := may{Identity: a.Identity, Rules: []credentialRule{}, Policy: policyOf(a.Policy), Notes: a.Notes}
	if m.Notes == nil {
		m.Notes = []string{}
	}
	if a.Lifetime > 0 {
		m.Lifetime = strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(a.Lifetime.String())
	}
	for _, r := range a.Rules {
		m.Rules = append(m.Rules, credentialRule{r.Deny, append([]string{}, r.Actions...), append([]string{}, r.Resources...), r.When})
	}
	return m
}

// mayDo is one line a rule.
func (m may) mayDo() (lines []string) {
	for _, r := range m.Rules {
		line := strings.Join(r.Actions, " ")
		if len(r.Resources) > 0 {
			line += " on " + strings.Join(r.Resources, " ")
		}
		if r.When != "" {
			line += " if " + r.When
		}
		if r.Deny {
			line = "not " + line
		}
		lines = append(lines, line)
	}
	return lines
}

// untold reports whether nothing is wrong: the provider has no way to tell.
func untold(err error) bool { return errors.Is(err, creds.ErrNotTold) }

// badCreds is the error of a file that a server would not start with.
func badCreds(path string, faults []string) error {
	return fmt.Errorf("%s: %s", path, strings.Join(faults, "; "))
}
