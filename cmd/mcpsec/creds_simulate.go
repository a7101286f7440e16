package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/oauth"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const credsSimulateHelp = `Print what one call of a tool would be allowed to do with each of its credentials: the
effective session policy, tags, session name and source identity. Nothing is issued, and no
service is asked. The exit code is 1 if the call would be refused a credential.

ARGS-JSON are the arguments of the call as the client sends them; - reads them from standard
input. --principal says who calls, as members of a verified token:

  --principal issuer=https://idp.example,subject=alice,tenant=acme,client=notes-app

With rung=certificate or rung=process the caller is one that is known by that (see the
principals of package mcpsec). Without --principal the caller is anonymous.

What exchanges the caller's own token cannot be simulated, because there is none.

Members with --json: schema (1), ok, tool, principal, credentials; each with credential,
refused (why, or empty), untold (why nothing can be said, or empty), identity, rules,
lifetime, sessionPolicy, notes.`

// A simulated credential is what simulate prints of one.
type simulated struct {
	Name    string `json:"credential"`
	Refused string `json:"refused,omitempty"`
	Untold  string `json:"untold,omitempty"`
	may
}

type simulation struct {
	Schema      int         `json:"schema"`
	OK          bool        `json:"ok"`
	Tool        string      `json:"tool"`
	Principal   string      `json:"principal"`
	Credentials []simulated `json:"credentials"`
}

func newCredsSimulate(a *app) *cobra.Command {
	var members map[string]string
	cmd := &cobra.Command{
		Use:   "simulate [FILE] TOOL ARGS-JSON",
		Short: "Print what one call would be allowed to do",
		Long:  credsSimulateHelp,
		Example: `  mcpsec creds simulate list_notes {"folder":"drafts"}
  mcpsec creds simulate /etc/notes/creds.json list_notes - --principal issuer=https://idp.example,subject=alice`,
		Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := defaultCreds
			if len(args) == 3 {
				path, args = args[0], args[1:]
			}
			who, err := principalOf(members)
			if err != nil {
				return err
			}
			s, err := simulate(cmd, path, args[0], args[1], who)
			if err != nil {
				return err
			}
			if err := a.emit(cmd, s, s.text()); err != nil {
				return err
			}
			if !s.OK {
				return errors.New("the call would be refused a credential")
			}
			return nil
		},
	}
	cmd.Flags().StringToStringVar(&members, "principal", nil, "who calls: issuer=...,subject=...,tenant=...,client=...,rung=...")
	return cmd
}

// principalOf makes a principal of its members.
func principalOf(members map[string]string) (mcpsec.Principal, error) {
	var p mcpsec.Principal
	if len(members) == 0 {
		return p, nil
	}
	rung := "token"
	for name, value := range members {
		to, ok := map[string]*string{"issuer": &p.Issuer, "subject": &p.Subject, "tenant": &p.Tenant, "client": &p.Client, "rung": &rung}[name]
		if !ok {
			return p, usagef("--principal: %.40q is none of issuer, subject, tenant, client and rung", name)
		}
		*to = value
	}
	for r := mcpsec.Address; r <= mcpsec.Token; r++ {
		if r.String() == rung {
			p.Rung = r
		}
	}
	switch {
	case p.Rung == mcpsec.Anonymous:
		return p, usagef("--principal: rung %.40q is none of token, certificate, process and address", rung)
	case p.Subject == "":
		return p, usagef("--principal: the subject is missing")
	case p.Rung == mcpsec.Token && p.Issuer == "":
		return p, usagef("--principal: a token has an issuer")
	}
	return p, nil
}

// maxArguments bounds the arguments of a simulated call, in bytes.
const maxArguments = 1 << 20

func simulate(cmd *cobra.Command, path, tool, args string, who mcpsec.Principal) (*simulation, error) {
	raw := []byte(args)
	if args == "-" {
		var err error
		if raw, err = readInput(cmd, args, maxArguments); err != nil {
			return nil, err
		}
	}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
		return nil, usagef("ARGS-JSON is a JSON object, such as {}")
	}
	in, faults := loadCreds(path)
	if in != nil {
		defer func() { _ = in.Close() }() // nothing was issued
	}
	if faults != nil {
		return nil, badCreds(path, faults)
	}
	all, err := creds.Simulate(in, tool, raw, who)
	if err != nil {
		return nil, err
	}
	s := &simulation{Schema: 1, OK: true, Tool: tool, Principal: who.Key(), Credentials: []simulated{}}
	for _, d := range all {
		c := simulated{Name: d.Name, may: newMay(d.Access)}
		switch {
		case untold(d.Err):
			c.Untold = "what it opens, nobody here can tell"
		case errors.Is(d.Err, oauth.ErrNoSubject):
			c.Untold = "it is made of the caller's own token, which is not here"
		case d.Err != nil:
			c.Refused, s.OK = d.Err.Error(), false
		}
		s.Credentials = append(s.Credentials, c)
	}
	return s, nil
}

// policyOf returns a policy as JSON, so that it is printed as what it is.
func policyOf(text string) any {
	switch {
	case text == "":
		return nil
	case json.Valid([]byte(text)):
		return json.RawMessage(text)
	}
	return text
}

func (s *simulation) text() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "tool %s, caller %s\n", word(s.Tool, 128), shown(s.Principal, 512))
	for _, c := range s.Credentials {
		fmt.Fprintf(&b, "\n%s\n", shown(c.Name, 64))
		for _, r := range []row{{"refused", c.Refused}, {"untold", c.Untold}, {"identity", c.Identity}, {"lifetime", c.Lifetime}} {
			if r.value != "" {
				fmt.Fprintf(&b, "  %-9s %s\n", r.name, shown(r.value, maxCell))
			}
		}
		if c.Policy == nil {
			for _, may := range c.mayDo() {
				fmt.Fprintf(&b, "  %-9s %s\n", "may", shown(may, maxCell))
			}
		} else {
			b.WriteString("  policy\n")
			pretty, err := encode(c.Policy)
			if err != nil {
				pretty = []byte("(unreadable)\n") // cannot be: it is JSON or a text
			}
			for line := range strings.Lines(string(pretty)) {
				fmt.Fprintf(&b, "    %s\n", shown(strings.TrimSuffix(line, "\n"), maxCell))
			}
		}
		for _, n := range c.Notes {
			fmt.Fprintf(&b, "  %-9s %s\n", "note", shown(n, maxCell))
		}
	}
	return b.String()
}
