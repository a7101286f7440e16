package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lmittmann/tint"

	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// Console prints events for a person to read while developing, at level debug for
// attempts, info for what was allowed, warn for refusals and error for failures.
// It is in colour if w is a terminal, NO_COLOR is unset or empty, and TERM is not
// "dumb". It does not close w.
//
// Text of callers is printed with \uXXXX in place of every character that a
// terminal would obey or hide, and of the backslash. Do not print to the standard
// output of a server that speaks MCP there.
func Console(w io.Writer) Option {
	return func(c *config) error {
		if f, ok := w.(*os.File); w == nil || ok && f == nil {
			return errors.New("audit.Console: the writer is nil")
		}
		c.sinks = append(c.sinks, newConsole(w, colourful(w, os.Getenv))) //nolint:forbidigo // NO_COLOR and TERM belong to whoever owns the terminal
		return nil
	}
}

// colourful reports whether w is a terminal that wants colour.
func colourful(w io.Writer, env func(string) string) bool {
	f, ok := w.(*os.File)
	if !ok || env("NO_COLOR") != "" || env("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}

type console struct{ handler slog.Handler }

func newConsole(w io.Writer, colour bool) *console {
	return &console{tint.NewTextHandler(w, &tint.Options{
		Level: slog.LevelDebug, TimeFormat: "15:04:05.000", NoColor: !colour,
	})}
}

// Record implements [Sink].
func (c *console) Record(ctx context.Context, e *Event) error {
	level := slog.LevelInfo
	switch {
	case e.Kind == Log:
		return c.message(ctx, e)
	case e.Count > 0:
		level = slog.LevelWarn
	case e.Kind == Attempt:
		level = slog.LevelDebug
	case e.Decision == Refused:
		level = slog.LevelWarn
	case e.Decision == Failed:
		level = slog.LevelError
	}
	r := slog.NewRecord(e.Time.UTC(), level, strings.TrimSpace(word(e.Method)+" "+word(e.Name)), 0)
	add := func(name, value string) {
		if value != "" {
			r.AddAttrs(slog.String(name, visible(value)))
		}
	}
	if e.Kind == Outcome || e.Count > 0 {
		add("decision", string(e.Decision))
		add("code", e.Code)
		add("control", e.Control)
		add("reason", e.Reason)
		add("detail", e.Detail)
		for _, f := range e.Findings {
			add("finding", strings.TrimSpace(f.Control+" "+f.Code+" "+f.Reason))
		}
		for _, n := range e.Notes {
			add("note", n.Key+": "+n.Value)
		}
		if e.Count > 0 {
			r.AddAttrs(slog.Uint64("count", e.Count))
		} else {
			r.AddAttrs(slog.Duration("latency", e.Latency))
		}
	} else {
		add("event", string(e.Kind))
	}
	add("principal", e.Principal.Rung)
	add("subject", e.Principal.Subject)
	add("id", e.ID)
	if err := c.handler.Handle(ctx, r); err != nil {
		return fmt.Errorf("audit: writing to the console: %w", err)
	}
	return nil
}

// message prints a message of the program itself.
func (c *console) message(ctx context.Context, e *Event) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(e.Level)); err != nil {
		level = slog.LevelInfo
	}
	r := slog.NewRecord(e.Time.UTC(), level, word(e.Reason), 0)
	for _, n := range e.Notes {
		r.AddAttrs(slog.String(visible(n.Key), visible(n.Value)))
	}
	if err := c.handler.Handle(ctx, r); err != nil {
		return fmt.Errorf("audit: writing to the console: %w", err)
	}
	return nil
}

// Close implements [Sink]. There is nothing to close.
func (c *console) Close() error { return nil }

// word returns a text for the message, which tint does not quote. A name that
// reads like " decision=allowed" must not pass for an attribute.
func word(s string) string {
	s = visible(s)
	if strings.ContainsAny(s, ` "=`) {
		return strconv.Quote(s)
	}
	return s
}

// visible returns s with hidden characters escaped. It escapes more than JSON
// needs, because of tint v1.2.1: in colour it turns the four characters \x1b of a
// text into an escape character, and without colour it drops what follows U+FFFD.
func visible(s string) string {
	safe := func(r rune) bool { return r != '\\' && r != utf8.RuneError && !printable.Hidden(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for _, r := range s {
		if safe(r) {
			b = utf8.AppendRune(b, r)
		} else {
			b = printable.AppendEscape(b, r)
		}
	}
	return string(b)
}
