package main

import (
	"fmt"
	"io"
	"os"

	"github.com/mcpsec/mcpsec-go/audit"
)

// A printer writes the account: with colours on a terminal, plain into a pipe.
type printer struct {
	w       io.Writer
	colours bool
	scenes  int
}

func newPrinter(f *os.File) *printer {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &printer{w: f, colours: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

const (
	bold  = "1"
	red   = "31"
	green = "32"
	grey  = "2"
)

func (p *printer) paint(style, text string) string {
	if !p.colours {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (p *printer) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format, args...) // an account nobody reads is no fault of the server's
}

func (p *printer) title(text string) { p.printf("%s\n", p.paint(bold, text)) }

func (p *printer) scene(text string) {
	p.scenes++
	p.printf("\n%s\n", p.paint(bold, fmt.Sprintf("%d. %s", p.scenes, text)))
}

func (p *printer) sayf(format string, args ...any) {
	p.printf("   %s\n", p.paint(grey, fmt.Sprintf(format, args...)))
}

func (p *printer) passed(tool, answer string) {
	p.printf("   %s  %-14s %q\n", p.paint(green, "passed "), tool, clip(answer))
}

func (p *printer) refused(tool, answer, code string) {
	p.printf("   %s  %-14s %s\n", p.paint(red, "refused"), tool, p.paint(bold, code))
	p.printf("            the client sees: %s\n", clip(answer))
}

func (p *printer) record(r *audit.Event) {
	style := green
	if r.Decision != audit.Allowed {
		style = red
	}
	what := r.Method
	if r.Name != "" {
		what += " " + r.Name
	}
	code := r.Code
	if r.Control != "" {
		code += " (" + r.Control + ")"
	}
	p.printf("   %s  %-28s %s %s\n", r.Time.Format("15:04:05.000"), what, p.paint(style, fmt.Sprintf("%-8s", r.Decision)), code)
}

func (p *printer) done() { p.printf("\n%s\n", p.paint(green, "Every scene ended as it should.")) }

func clip(text string) string {
	const most = 150
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
