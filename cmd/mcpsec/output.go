package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"

	terminal "github.com/mcpsec/mcpsec-go/internal/printable"
)

// emit prints a command's result: value as JSON with --json, else text. It writes
// once, and a result that cannot be written is an error: a script must not take a
// full disk for an empty answer.
func (a *app) emit(cmd *cobra.Command, value any, text string) error {
	out := []byte(text)
	if a.json {
		var err error
		if out, err = encode(value); err != nil {
			return err
		}
	}
	if _, err := cmd.OutOrStdout().Write(out); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return nil, fmt.Errorf("encoding the result: %w", err)
	}
	out := make([]byte, 0, b.Len())
	for _, r := range b.String() {
		if r != '\n' && terminal.Hidden(r) { // inside of a string: what others chose must not steer a terminal
			out = terminal.AppendEscape(out, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out, nil
}

// A row is a name and what it holds.
type row struct{ name, value string }

// align writes rows with their values below each other, indented.
func align(b *bytes.Buffer, indent string, rows []row) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r.name))
	}
	for _, r := range rows {
		fmt.Fprintf(b, "%s%-*s  %s\n", indent, width, r.name, r.value)
	}
}

// colourful reports whether w shows colours: a terminal that does not call itself
// dumb, and a user who did not set NO_COLOR (no-color.org). A Windows console,
// which may not know escape sequences, has no TERM.
func colourful(w io.Writer, getenv func(string) string) bool {
	f, ok := w.(*os.File)
	if !ok || getenv("NO_COLOR") != "" || getenv("TERM") == "" || getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
