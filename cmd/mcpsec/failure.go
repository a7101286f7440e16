package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes, as the help of the root command promises them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// A usageError says that the command line is wrong. Every other error means that
// a check failed or the work could not be done.
type usageError struct {
	message string
	nearest []string // what may have been meant, best first
}

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

func unknownCommand(parent *cobra.Command, name string) error {
	var names []string
	for _, c := range parent.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			names = append(names, c.Name())
		}
	}
	return &usageError{
		message: fmt.Sprintf("unknown command %.*q for %q", maxQuoted, name, parent.CommandPath()),
		nearest: nearest(name, names),
	}
}

const (
	// maxQuoted bounds how many characters of an argument a message repeats.
	maxQuoted = 64
	// maxMessage bounds a message, in bytes. Messages of cobra repeat arguments in full.
	maxMessage = 4096
)

// A failure is an error as the user sees it; its members are those of the JSON form.
type failure struct {
	Message  string   `json:"message"`
	ExitCode int      `json:"exitCode"`
	Hint     string   `json:"hint,omitempty"`
	Nearest  []string `json:"nearest,omitempty"`
}

// newFailure judges an error. Whatever happens before a command runs is a usage
// error: a flag or an argument that does not fit.
func newFailure(cmd *cobra.Command, err error, running bool) failure {
	f := failure{Message: oneLine(strings.TrimPrefix(err.Error(), "mcpsec: ")), ExitCode: exitFailed}
	usage, ok := errors.AsType[*usageError](err)
	if ok {
		f.Nearest = usage.nearest
	}
	if ok || !running {
		f.ExitCode = exitUsage
		f.Hint = fmt.Sprintf("see %s --help", cmd.CommandPath())
	}
	return f
}

// report writes the failure. A standard error that cannot be written to leaves
// the exit code to speak.
func (f failure) report(w io.Writer, asJSON bool) {
	if asJSON {
		if raw, err := json.Marshal(map[string]failure{"error": f}); err == nil {
			_, _ = fmt.Fprintf(w, "%s\n", raw)
		}
		return
	}
	line := "mcpsec: " + f.Message
	if len(f.Nearest) > 0 {
		line += "; did you mean " + strings.Join(f.Nearest, " or ") + "?"
	}
	if f.Hint != "" {
		line += " (" + f.Hint + ")"
	}
	_, _ = fmt.Fprintln(w, line)
}

// oneLine keeps a message, which may repeat what others chose, from breaking the
// line, steering a terminal or filling it.
func oneLine(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case b.Len() > maxMessage:
			return b.String() + "..."
		case r == '\n':
			b.WriteString("; ")
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// wantsJSON looks for --json where the command line could not be parsed. What
// follows a bare -- belongs to another program.
func wantsJSON(args []string) bool {
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if arg == "--json" {
			return true
		}
		if v, ok := strings.CutPrefix(arg, "--json="); ok {
			on, err := strconv.ParseBool(v)
			return on || err != nil
		}
	}
	return false
}
