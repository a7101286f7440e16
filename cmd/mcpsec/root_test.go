package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		walk(c, visit)
	}
}

func TestEveryCommandHasHelpAndExamplesThatParse(t *testing.T) {
	t.Parallel()
	walk(newRoot(&app{}, io.Discard, io.Discard), func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s: Short, Long and Example must be there", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			checkExample(t, cmd, strings.TrimSpace(line))
		}
	})
}

func checkExample(t *testing.T, cmd *cobra.Command, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " >") // redirection is the shell's
	args, ok := strings.CutPrefix(line, "mcpsec ")
	if !ok {
		t.Errorf("%s: example %q does not run mcpsec", cmd.CommandPath(), line)
		return
	}
	found, rest, err := newRoot(&app{}, io.Discard, io.Discard).Find(strings.Fields(args))
	if err != nil {
		t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
		return
	}
	if err := found.ParseFlags(rest); err != nil {
		t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
	} else if err := found.ValidateArgs(found.Flags().Args()); err != nil {
		t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
	}
	if found.Parent() == nil {
		t.Errorf("%s: example %q names no sub-command", cmd.CommandPath(), line)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestResultThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"version", "version --json", "explain", "explain audit.unavailable", "explain --markdown", "doctor"} {
		var errs bytes.Buffer
		if code := execute(t.Context(), strings.Fields(line), brokenPipe{}, &errs); code != exitFailed {
			t.Errorf("%s: exit code %d, want %d", line, code, exitFailed)
		}
		if !strings.Contains(errs.String(), "no space left") {
			t.Errorf("%s: %q does not say why", line, errs.String())
		}
	}
}

func TestMessageCannotBreakTheLineOrSteerTheTerminal(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"a\nmcpsec: all is well", "\x1b[2Jx", "\u202eevil", strings.Repeat("A", 1<<16)} {
		for _, args := range [][]string{{arg}, {"explain", arg}, {"explain", "x", arg}, {"--" + arg}, {"help", arg}, {"completion", arg}} {
			var errs bytes.Buffer
			if code := execute(t.Context(), args, io.Discard, &errs); code != exitUsage {
				t.Errorf("%.20q: exit code %d, want %d", args, code, exitUsage)
			}
			got := errs.String()
			if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") || strings.ContainsAny(got, "\x1b\u202e") {
				t.Errorf("%.20q: %.200q is not one plain line", args, got)
			}
			if len(got) > 2*maxMessage {
				t.Errorf("%.20q: message of %d bytes", args, len(got))
			}
		}
	}
}

func TestJSONIsFoundInACommandLineThatDoesNotParse(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"doctor --nope --json":       true,
		"doctor --nope --json=true":  true,
		"doctor --nope --json=false": false,
		"doctor --json=perhaps":      true,
		"run --nope -- child --json": false,
		"doctor --nope":              false,
	} {
		if got := wantsJSON(strings.Fields(line)); got != want {
			t.Errorf("%s: %v, want %v", line, got, want)
		}
	}
}

func TestErrorOfTheLibraryIsNotPrefixedTwice(t *testing.T) {
	t.Parallel()
	f := newFailure(&cobra.Command{}, errors.New("mcpsec: not installed\nbecause"), true)
	if f.Message != "not installed; because" || f.ExitCode != exitFailed || f.Hint != "" {
		t.Errorf("got %+v", f)
	}
}
