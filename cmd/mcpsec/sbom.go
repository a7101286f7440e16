package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/attest/sbom"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

const sbomHelp = `Write the bill of materials of a Go program: CycloneDX 1.5, from the build information
in the binary. It needs no network, no source and no Go. One binary has one bill, byte
for byte, so that a manifest can pin it:

  mcpsec sbom server -o server.cdx.json
  mcpsec manifest --sbom server.cdx.json ...

With --check the bill in a file is compared with the binary instead: every module, version
and sum, both ways. The exit code is 1 if they differ.

Members with --json: format, specVersion, sha256, main, goVersion, modules, and file if
one was written or checked.`

func newSBOM(a *app) *cobra.Command {
	var out, check string
	cmd := &cobra.Command{
		Use:   "sbom BINARY",
		Short: "Write or check the bill of materials of a Go program",
		Long:  sbomHelp,
		Example: `  mcpsec sbom server -o server.cdx.json
  mcpsec sbom server --check server.cdx.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out != "" && check != "" {
				return usagef("give one of --output and --check")
			}
			program, err := sbom.File(args[0])
			if err != nil {
				return err
			}
			data, err := program.Encode()
			if err != nil {
				return err
			}
			switch {
			case check != "":
				return a.checkBill(cmd, program, check)
			case out != "":
				if err := regular.Replace(out, data, 0o644); err != nil {
					return fmt.Errorf("writing the bill of materials: %w", err)
				}
			case !a.json:
				_, err := cmd.OutOrStdout().Write(data)
				return err
			}
			b := newBill(program, data, out)
			return a.emit(cmd, b, b.text("written to"))
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to this file instead of standard output")
	cmd.Flags().StringVar(&check, "check", "", "compare the bill in this file with the binary")
	return cmd
}

func (a *app) checkBill(cmd *cobra.Command, program *sbom.Document, path string) error {
	data, err := regular.ReadFile(path, sbom.MaxSize)
	if err != nil {
		return err
	}
	bill, err := sbom.Decode(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := sbom.Compare(bill, program); err != nil {
		return err
	}
	b := newBill(bill, data, path)
	return a.emit(cmd, b, b.text("agrees with"))
}

// A bill is what sbom prints; its members are those of the JSON form.
type bill struct {
	*manifest.SBOM

	Main      string `json:"main"`
	GoVersion string `json:"goVersion"`
	Modules   int    `json:"modules"`
	File      string `json:"file,omitempty"`
}

func newBill(d *sbom.Document, data []byte, file string) bill {
	return bill{sbom.Pin(data), d.Main.String(), d.GoVersion, len(d.Modules), file}
}

func (b bill) text(did string) string {
	var s bytes.Buffer
	align(&s, "", []row{
		{"program", shown(b.Main, 200)},
		{"built with", "Go " + shown(b.GoVersion, 50)},
		{"modules", fmt.Sprint(b.Modules)},
		{"sha256", b.SHA256},
		{did, shown(b.File, 500)},
	})
	return s.String()
}

// readInput reads a file, or standard input for "-".
func readInput(cmd *cobra.Command, path string, limit int64) ([]byte, error) {
	if path != "-" {
		return regular.ReadFile(path, limit)
	}
	data, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("standard input: %w", err)
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("standard input: more than %d bytes", limit)
	}
	return data, nil
}
