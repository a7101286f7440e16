package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/attest/inspector"
	"github.com/mcpsec/mcpsec-go/attest/sbom"
	"github.com/mcpsec/mcpsec-go/attest/vuln"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

const vulnHelp = `Look for known vulnerabilities in what a server is made of. The exit code is 1 if there is
one that nobody has excused, or if the question could not be answered.

A Go program is judged by what it links, with the engine of govulncheck and the Go
vulnerability database: over HTTPS, or a copy in a folder for machines without a network
(go.dev/doc/security/vuln/database). What is not written in Go is judged by a report of
Grype (--grype); of a report of Syft (--syft) the Go modules are. --inspector asks Amazon
Inspector about a bill of materials, with the credentials that
"aws configure export-credentials" prints:

  grype -o json notes:1.2 | mcpsec vuln --grype -
  aws configure export-credentials | mcpsec vuln --inspector eu-central-1 --sbom bill --aws-credentials -

Exceptions are OpenVEX statements (--vex) with status not_affected and a justification,
fixed, or affected and an action statement. Each names the product, by package URL, and in
its status notes the day from which it no longer counts: expires=2027-01-31.

Members with --json: ok, product, dbModified, findings [{id, aliases, component, fixed,
evidence, summary, state (open, excused, below), exception}], unused (exceptions that
excused nothing), unjudged (components of which the scanner knows nothing, which fail
nothing), vexSha256. A flag that the question does not look at is an error.`

// vulnFlags are those of the command.
type vulnFlags struct {
	db, vex, level, severity, age string
	grype, syft, product          string
	region, bill, keys            string
}

func newVuln(a *app) *cobra.Command {
	var f vulnFlags
	cmd := &cobra.Command{
		Use:   "vuln [BINARY]",
		Short: "Look for known vulnerabilities in a server",
		Long:  vulnHelp,
		Example: `  mcpsec vuln server --vex exceptions.openvex.json
  mcpsec vuln server --db file:///var/lib/vulndb --max-age 2d --level package
  mcpsec vuln --grype report.json --severity high --product pkg:oci/notes
  mcpsec vuln --inspector eu-central-1 --sbom server.cdx.json --aws-credentials keys.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.fit(cmd, args); err != nil {
				return err
			}
			gate, err := f.gate(cmd)
			if err != nil {
				return err
			}
			verdict, err := f.ask(cmd, gate, args)
			if err != nil {
				return err
			}
			if err := a.emit(cmd, newVulnResult(verdict), vulnText(verdict)); err != nil {
				return err
			}
			if n := verdict.Count(vuln.Open); n > 0 {
				return fmt.Errorf("%d known vulnerabilities that nobody has excused", n)
			}
			return nil
		},
	}
	p := cmd.Flags()
	p.StringVar(&f.db, "db", "https://vuln.go.dev", "Go vulnerability database: an https:// address or a file:// folder")
	p.StringVar(&f.vex, "vex", "", "OpenVEX document with the exceptions")
	p.StringVar(&f.age, "max-age", "7d", "how old the database may be: 12h, 7d")
	p.StringVar(&f.level, "level", "symbol", "weakest evidence that fails a Go program: symbol, package or module")
	p.StringVar(&f.severity, "severity", "negligible", "lowest severity that fails, for Grype and Inspector")
	p.StringVar(&f.grype, "grype", "", `judge this report of "grype -o json"; - for standard input`)
	p.StringVar(&f.syft, "syft", "", `judge the Go modules of this report of "syft -o json"; - for standard input`)
	p.StringVar(&f.product, "product", "", "package URL of what a report is about, as exceptions name it")
	p.StringVar(&f.region, "inspector", "", "ask Amazon Inspector in this region about --sbom")
	p.StringVar(&f.bill, "sbom", "", "bill of materials for --inspector")
	p.StringVar(&f.keys, "aws-credentials", "", "file with credentials for --inspector; - for standard input")
	return cmd
}

// gate reads the flags that say what fails.
func (f *vulnFlags) gate(cmd *cobra.Command) (*vuln.Gate, error) {
	g := &vuln.Gate{DB: f.db, Product: f.product}
	var err error
	if g.Level, err = vuln.ParseLevel(f.level); err != nil {
		return nil, usagef("--level: %v", err)
	}
	if g.Severity, err = vuln.ParseSeverity(f.severity); err != nil {
		return nil, usagef("--severity: %v", err)
	}
	var ok bool
	if g.MaxAge, ok = parseAge(f.age); !ok {
		return nil, usagef("--max-age: %.40q is no duration such as 12h or 7d", f.age)
	}
	if f.vex != "" {
		data, err := readInput(cmd, f.vex, vuln.MaxVEX)
		if err != nil {
			return nil, err
		}
		if g.Exceptions, err = vuln.DecodeVEX(data); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// ask puts the question to the one source that the command line names.
func (f *vulnFlags) ask(cmd *cobra.Command, g *vuln.Gate, args []string) (*vuln.Verdict, error) {
	switch {
	case f.grype != "":
		data, err := readInput(cmd, f.grype, vuln.MaxReport)
		if err != nil {
			return nil, err
		}
		return g.Grype(data)
	case f.syft != "":
		data, err := readInput(cmd, f.syft, vuln.MaxReport)
		if err != nil {
			return nil, err
		}
		return g.Syft(cmd.Context(), data)
	case f.region != "":
		return f.inspect(cmd, g)
	}
	return g.Binary(cmd.Context(), args[0])
}

// fit asks for one source, and refuses flags that it does not look at: whoever gives one
// believes in a gate that is not there.
func (f *vulnFlags) fit(cmd *cobra.Command, args []string) error {
	sources := len(args)
	for _, s := range []string{f.grype, f.syft, f.region} {
		if s != "" {
			sources++
		}
	}
	if sources != 1 {
		return usagef("give one of BINARY, --grype, --syft and --inspector")
	}
	what, looks := "a Go program", "db level max-age vex"
	switch {
	case f.grype != "":
		what, looks = "--grype", "grype severity max-age vex product"
	case f.syft != "":
		what, looks = "--syft", "syft db max-age vex product"
	case f.region != "":
		what, looks = "--inspector", "inspector severity vex product sbom aws-credentials"
	}
	for flag := range strings.FieldsSeq("db level max-age vex severity product grype syft inspector sbom aws-credentials") {
		if cmd.Flags().Changed(flag) && !slices.Contains(strings.Fields(looks), flag) {
			return usagef("--%s is not for %s", flag, what)
		}
	}
	if f.vex == "-" && slices.Contains([]string{f.grype, f.syft, f.keys}, "-") {
		return usagef("standard input is read once: give a file for --vex")
	}
	return nil
}

func (f *vulnFlags) inspect(cmd *cobra.Command, g *vuln.Gate) (*vuln.Verdict, error) {
	if f.bill == "" || f.keys == "" {
		return nil, usagef("--inspector needs --sbom and --aws-credentials")
	}
	data, err := regular.ReadFile(f.bill, sbom.MaxSize)
	if err != nil {
		return nil, err
	}
	raw, err := readInput(cmd, f.keys, 64<<10)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	keys, err := parseKeys(raw)
	if err != nil {
		return nil, err
	}
	return inspector.New(aws.Config{
		Region:      f.region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil }),
	}).Scan(cmd.Context(), g, data)
}

// parseKeys reads the output of "aws configure export-credentials". Its errors hold
// nothing of it.
func parseKeys(raw []byte) (aws.Credentials, error) {
	var k struct {
		Version         int       `json:"Version"`
		AccessKeyID     string    `json:"AccessKeyId"`
		SecretAccessKey string    `json:"SecretAccessKey"`
		SessionToken    string    `json:"SessionToken"`
		Expiration      time.Time `json:"Expiration"`
	}
	if err := json.Unmarshal(raw, &k); err != nil || k.Version != 1 || k.AccessKeyID == "" || k.SecretAccessKey == "" {
		return aws.Credentials{}, errors.New("--aws-credentials: not what aws configure export-credentials prints: an object with Version 1, AccessKeyId and SecretAccessKey")
	}
	if !k.Expiration.IsZero() && time.Now().After(k.Expiration) {
		return aws.Credentials{}, errors.New("--aws-credentials: they have expired: export them again")
	}
	return aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretAccessKey, SessionToken: k.SessionToken}, nil
}

// A vulnResult is the JSON form of a verdict.
type vulnResult struct {
	OK bool `json:"ok"`
	*vuln.Verdict
}

func newVulnResult(v *vuln.Verdict) vulnResult {
	if v.Findings == nil {
		v.Findings = []vuln.Finding{}
	}
	return vulnResult{v.Count(vuln.Open) == 0, v}
}

func vulnText(v *vuln.Verdict) string {
	var b bytes.Buffer
	for i := range v.Findings {
		f := &v.Findings[i]
		fmt.Fprintf(&b, "%-8s%s\n", f.State, shown(f.String(), 1000))
	}
	for _, name := range v.Unused {
		fmt.Fprintf(&b, "%-8sthe exception for %s covers nothing: remove it\n", "unused", shown(name, 100))
	}
	for _, url := range v.Unjudged {
		fmt.Fprintf(&b, "%-8s%s: the scanner knows nothing of it\n", "skipped", shown(url, 300))
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	product := shown(v.Product, 300)
	if product == "" {
		product = "the report"
	}
	fmt.Fprintf(&b, "%s: %d open, %d excused, %d below the gate; database of %s\n", product,
		v.Count(vuln.Open), v.Count(vuln.Excused), v.Count(vuln.Below), v.DBModified.UTC().Format(time.DateOnly))
	return b.String()
}
