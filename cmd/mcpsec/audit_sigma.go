package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

//go:generate go run . audit sigma -o ../../docs/siem/sigma

const auditSigmaHelp = `Write Sigma rules for all refusal codes into a folder, one file for each family of codes,
with one rule for each level in it. The rules look at the member "code" of the records as
the ledger has them.`

// newAuditSigma makes a command for go generate. It is hidden: the rules come with
// the documentation.
func newAuditSigma(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "sigma",
		Hidden:  true,
		Short:   "Write Sigma rules for the refusal codes",
		Long:    auditSigmaHelp,
		Example: "  mcpsec audit sigma -o sigma",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output == "" {
				return usagef("sigma needs --output")
			}
			var written []string
			for _, f := range sigmaFiles(catalog()) {
				path := filepath.Join(output, f.name)
				if err := os.WriteFile(path, f.text, 0o644); err != nil { //nolint:gosec // G306: documentation is for everybody to read
					return err
				}
				written = append(written, path)
			}
			return a.emit(cmd, map[string][]string{"files": written}, strings.Join(written, "\n")+"\n")
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "folder to write the rules to")
	return cmd
}

type sigmaFile struct {
	name string
	text []byte
}

// A sigmaRule is one rule. What it selects is given as lines of YAML.
type sigmaRule struct {
	title, description, level string
	codes                     []mcpsec.Code // the rule is about these, or about:
	selection                 []string
	innocent                  string
}

// levels are those of Sigma, the worst first.
var levels = []string{"critical", "high", "medium", "low", "informational"}

// gravest are codes that say the server is not what was reviewed.
var gravest = []string{"attest.artifact_changed", "attest.definition_mismatch", "attest.server_mismatch", "guard.foreign_handler", "guard.outflanked"}

// levelOf says how bad a refusal is. Most of it lies in its kind.
func levelOf(c mcpsec.Code) string {
	switch {
	case slices.Contains(gravest, c.Name):
		return "critical"
	case c.Name == "guard.forged_state": // nobody does this by mistake
		return "high"
	case c.Name == "ratelimit.loop", c.Name == "ratelimit.frozen": // spends by the minute; an operator's own doing
		return "medium"
	case c.Name == "guard.probe":
		return "informational"
	}
	switch c.Kind {
	case mcpsec.Unavailable, mcpsec.Crashed:
		return "high"
	case mcpsec.NotFound, mcpsec.Unauthenticated, mcpsec.Forbidden:
		return "medium"
	case mcpsec.Throttled, mcpsec.BadArguments, mcpsec.BadRequest:
	}
	return "low"
}

// sigmaFiles returns the rules. The same codes always give the same bytes.
func sigmaFiles(shelves []shelf) []sigmaFile {
	var files []sigmaFile
	for _, s := range families(shelves) {
		var b bytes.Buffer
		for _, level := range levels {
			codes := slices.DeleteFunc(slices.Clone(s.codes), func(c mcpsec.Code) bool { return levelOf(c) != level })
			if len(codes) == 0 {
				continue
			}
			var meanings []string
			for _, c := range codes {
				meanings = append(meanings, c.Name+": "+c.Meaning)
			}
			sigmaRule{
				title:       fmt.Sprintf("MCP call refused: %s, level %s", s.prefix, level),
				description: "A control of the mcpsec guard refused a call. " + strings.Join(meanings, " "),
				level:       level, codes: codes,
				innocent: innocence(level),
			}.append(&b)
		}
		files = append(files, sigmaFile{s.prefix + ".yml", b.Bytes()})
	}
	var b bytes.Buffer
	for _, r := range recordRules {
		r.append(&b)
	}
	return append(files, sigmaFile{"record.yml", b.Bytes()})
}

// families puts the codes of one prefix together, whatever packages they are of.
func families(shelves []shelf) []shelf {
	var all []shelf
	for _, s := range shelves {
		if n := len(all); n > 0 && all[n-1].prefix == s.prefix {
			all[n-1].codes = slices.Concat(all[n-1].codes, s.codes)
			continue
		}
		all = append(all, s)
	}
	return all
}

func innocence(level string) string {
	switch level {
	case "critical":
		return "A release that changed tools without a new manifest"
	case "high":
		return "Faults of the machine: a full disk, a store that is down"
	case "medium":
		return "A new user or client that was not given its rights yet"
	}
	return "Clients with faults, and load above what was planned; count by principal before waking anybody"
}

// recordRules are about the record itself and have no code.
var recordRules = []sigmaRule{
	{
		title: "MCP audit records lost", level: "high",
		description: "Records of calls were lost before they reached the ledger: its disk was full, too slow or failed. Count and time span stand in the record.",
		selection:   []string{"event: 'gap'"}, innocent: "A full disk",
	},
	{
		title: "MCP audit log mended", level: "medium",
		description: "The ledger was opened again after a crash, or after somebody changed it: what was found and cut off stands in the record.",
		selection:   []string{"event: 'recovery'"}, innocent: "A crash or a loss of power",
	},
	{
		title: "MCP call with unknown end", level: "medium",
		description: "A call was allowed, and the server ended before its outcome was recorded. Whether and how far the tool ran is not known.",
		selection:   []string{"event: 'outcome'", "decision: 'unknown'"}, innocent: "A crash or a loss of power",
	},
}

func (r sigmaRule) append(b *bytes.Buffer) {
	if b.Len() == 0 {
		b.WriteString("# Made by go generate ./cmd/mcpsec from the refusal codes. Do not edit.\n")
	}
	fmt.Fprintf(b, "---\ntitle: %s\nid: %s\nstatus: 'experimental'\n", scalar(r.title), scalar(ruleID(r.title)))
	fmt.Fprintf(b, "description: %s\n", scalar(r.description))
	b.WriteString("references:\n    - 'https://github.com/mcpsec/mcpsec-go/blob/main/docs/codes.md'\n")
	b.WriteString("author: 'mcpsec'\ndate: '2026-11-22'\nlogsource:\n    product: 'mcpsec'\n    service: 'audit'\n")
	b.WriteString("detection:\n    selection:\n")
	if len(r.codes) > 0 {
		b.WriteString("        code:\n")
	}
	for _, c := range r.codes {
		fmt.Fprintf(b, "            - %s\n", scalar(c.Name))
	}
	for _, line := range r.selection {
		fmt.Fprintf(b, "        %s\n", line)
	}
	b.WriteString("    condition: 'selection'\nfields:\n")
	for _, f := range []string{"time", "seq", "id", "method", "name", "principal.subject", "principal.rung", "source.address", "code", "reason", "detail"} {
		fmt.Fprintf(b, "    - %s\n", scalar(f))
	}
	fmt.Fprintf(b, "falsepositives:\n    - %s\nlevel: %s\n", scalar(r.innocent), scalar(cmp.Or(r.level, "medium")))
}

// scalar is a YAML string. In single quotes only the quote itself is special, and
// our texts have no line ends.
func scalar(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// ruleID is the same for a rule as long as its title is: a UUID of version 8 (RFC
// 9562) made of a hash.
func ruleID(title string) string {
	u := sha256.Sum256([]byte("github.com/mcpsec/mcpsec-go sigma " + title))
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	s := hex.EncodeToString(u[:16])
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}
