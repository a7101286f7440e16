package main

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/attest/lock"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

const diffHelp = `Say in words what a manifest changes of the one before, what weakens it first. Both may be
signed or not; no signature is verified (mcpsec verify does).

Where the definitions lie beside both (.tools.json) and match their digests, the texts are
compared as well: [-what went-] and {+what came+}, with hidden characters escaped.

Members with --json: changes [{weaker, kind, what, text}], definitions [{server, kind, name,
change, approved, shown, seen, lines}], notes.`

// A difference is what diff prints; its members are those of the JSON form.
type difference struct {
	Changes     []diffChange `json:"changes"`
	Definitions []lockChange `json:"definitions"`
	Notes       []string     `json:"notes"` // why texts could not be compared
}

type diffChange struct {
	Weaker bool   `json:"weaker"`
	Kind   string `json:"kind"`
	What   string `json:"what"`
	Text   string `json:"text,omitempty"`
}

func newDiff(a *app) *cobra.Command {
	var code bool
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say in words what a manifest changes",
		Long:  diffHelp,
		Example: `  mcpsec diff v1/manifest.sigstore.json manifest.json
  mcpsec diff old.json new.json --exit-code`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var both [2]*reviewed
			d := difference{Changes: []diffChange{}, Definitions: []lockChange{}, Notes: []string{}}
			for i, path := range args {
				r, err := readReviewed(cmd.Context(), path)
				if err != nil {
					return err
				}
				if err := r.readDefinitions(path); err != nil {
					note := err.Error()
					if errors.Is(err, errNoDefinitions) {
						note += ": texts are not compared"
					}
					d.Notes = append(d.Notes, oneLine(note))
				}
				both[i] = r
			}
			var b bytes.Buffer
			d.compare(&b, both[0], both[1])
			if err := a.emit(cmd, d, b.String()); err != nil {
				return err
			}
			if n := len(d.Changes) + len(d.Definitions); code && n > 0 {
				return fmt.Errorf("%d differences", n)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&code, "exit-code", false, "exit with 1 if there is a difference")
	return cmd
}

func (d *difference) compare(b *bytes.Buffer, before, after *reviewed) {
	if reflect.DeepEqual(before.manifest, after.manifest) { // one manifest, whose sequence need not rise
		b.WriteString("nothing differs\n")
		return
	}
	for _, c := range manifest.Diff(before.manifest, after.manifest) {
		d.Changes = append(d.Changes, diffChange{c.Weaker, string(c.Kind), c.What, c.Text})
		fmt.Fprintln(b, c.String())
	}
	if before.definitions != nil && after.definitions != nil {
		d.texts(b, before, after)
	}
	for _, note := range d.Notes {
		fmt.Fprintf(b, "note: %s\n", note)
	}
	if len(d.Changes)+len(d.Definitions) == 0 {
		b.WriteString("nothing differs\n")
	}
}

// texts compares the definitions as a lock file's are.
func (d *difference) texts(b *bytes.Buffer, before, after *reviewed) {
	name := after.manifest.ServerName
	had := lock.File{Servers: map[string]*lock.Server{name: before.definitions}}
	for _, c := range had.Compare(name, after.definitions) {
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		shown := describeChange(c)
		d.Definitions = append(d.Definitions, shown)
		showChange(b, shown, c.String())
	}
}
