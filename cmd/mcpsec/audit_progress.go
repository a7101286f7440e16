package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progressAfter is how long a task runs before it shows a bar, and progressEvery how
// often the bar moves.
const (
	progressAfter = 500 * time.Millisecond
	progressEvery = 100 * time.Millisecond
)

// A progressBar shows on a terminal how far a long reading has come.
type progressBar struct {
	w           io.Writer
	now         func() time.Time
	began, last time.Time
	drawn       bool
}

// newProgress returns a bar on w, or nil if w is no terminal.
func newProgress(w io.Writer) *progressBar {
	if !isTerminal(w, os.Getenv) {
		return nil
	}
	return &progressBar{w: w, now: time.Now, began: time.Now()}
}

// isTerminal is colourful without the user's wish for colours.
func isTerminal(w io.Writer, getenv func(string) string) bool {
	return colourful(w, func(name string) string {
		if name == "NO_COLOR" {
			return ""
		}
		return getenv(name)
	})
}

// step is called with how much of all has been read.
func (p *progressBar) step(done, total int64) {
	now := p.now()
	if total <= 0 || now.Sub(p.began) < progressAfter || now.Sub(p.last) < progressEvery {
		return
	}
	p.last, p.drawn = now, true
	const width = 40
	done = min(max(done, 0), total)
	full := int(float64(done) / float64(total) * width)
	_, _ = fmt.Fprintf(p.w, "\r[%s%s] %3d%%", strings.Repeat("=", full), strings.Repeat(" ", width-full),
		int(float64(done)/float64(total)*100))
}

// done removes the bar.
func (p *progressBar) done() {
	if p != nil && p.drawn {
		_, _ = fmt.Fprintf(p.w, "\r%*s\r", 50, "")
	}
}

// callback is what the ledger's functions take: nil without a bar.
func (p *progressBar) callback() func(done, total int64) {
	if p == nil {
		return nil
	}
	return p.step
}
